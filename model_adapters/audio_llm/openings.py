"""Openings read lately: the prompts of a task begin alike, with a system message for example."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from model_adapters.audio_llm.tree import NO_OPENING, Opening, read_opening

# Of the longest prompt: behind less it is not worth the mask, without which prompts alone can be read.
SHARE = 0.02
HELD = 4


class Openings:
    """What prompts began with, as one language model has read it: the last few."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._held: OrderedDict[tuple[int, ...], Opening] = OrderedDict()
        self._before: tuple[int, ...] = ()

    def shared(self, beginnings: Sequence[Sequence[int]], longest: int) -> Opening:
        """The tokens that all of these begin with, read now or before; no opening where they are few.

        beginnings: of each prompt the tokens up to its first audio, or all but the last of one without audio. What
        is the task's and what the sample's own cannot be told from one prompt; it is compared with the one before.
        longest: tokens of the longest prompt.
        """
        earlier = [self._before] if len(beginnings) == 1 else []
        self._before = tuple(beginnings[-1])
        alike = takewhile(lambda column: len(set(column)) == 1, zip(*beginnings, *earlier, strict=False))
        tokens = tuple(first for first, *_ in alike)
        if len(tokens) < SHARE * longest:
            return NO_OPENING
        if tokens not in self._held:
            self._held[tokens] = read_opening(self._model, tokens)
            if len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(tokens)
        return self._held[tokens]
