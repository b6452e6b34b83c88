"""Openings read lately: the prompts of a task begin alike, with a system message for example."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from model_adapters.audio_llm.tree import NO_OPENING, Opening, read_opening

HELD = 4


class Openings:
    """What prompts began with, as one language model has read it: the last few."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._held: OrderedDict[tuple[int, ...], Opening] = OrderedDict()

    def shared(self, beginnings: Sequence[Sequence[int]], longest: int) -> Opening:
        """The tokens that all of these begin with, read now or before; no opening where they are few.

        beginnings: of each prompt the tokens up to its first audio, or all but the last of one without audio; of
        one prompt alone it cannot be told what others share. longest: tokens of the longest prompt.
        """
        if len(beginnings) == 1:
            return NO_OPENING
        alike = takewhile(lambda column: len(set(column)) == 1, zip(*beginnings, strict=False))
        tokens = tuple(first for first, *_ in alike)
        width = self._model.get_input_embeddings().weight.shape[1]
        if not tokens or len(tokens) < _cost_of_a_mask(longest, width):
            return NO_OPENING
        if tokens not in self._held:
            self._held[tokens] = read_opening(self._model, tokens)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(tokens)
        return self._held[tokens]

    def of_texts(self, prompts: Sequence[Sequence[int]]) -> Opening:
        """What whole prompts without audio begin with; each keeps its last token for itself."""
        return self.shared([prompt[:-1] for prompt in prompts], max(map(len, prompts)))


def _cost_of_a_mask(longest: int, width: int) -> float:
    """In tokens. Behind an opening a prompt is read with a mask, and looks at all its positions instead of half of
    them on average: n d more multiplications a position and layer, beside the 12 d^2 of a layer's weights."""
    return longest**2 / (12 * width)
