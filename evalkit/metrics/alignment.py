"""Which words (or characters) of an answer an edit rate counts as right, substituted, left out or put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from rapidfuzz.distance import Levenshtein

from evalkit.metrics.edits import EditRate
from evalkit.text import normalize

EditKind = Literal["equal", "replace", "delete", "insert"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A run of units that share their fate: of the reference, of the answer, empty where nothing stands."""

    kind: EditKind
    reference: tuple[str, ...]
    answer: tuple[str, ...]

    @property
    def errors(self) -> int:
        return 0 if self.kind == "equal" else max(len(self.reference), len(self.answer))


def align(rate: EditRate, references: Sequence[str], answer: str) -> tuple[Edit, ...]:
    """The edits from a reference to the answer, both normalised: a shortest list, one of several at times.

    Of several references the one counts that the rate itself would take: the lowest rate, the first of equals.
    ValueError for no reference.
    """
    normalizer = normalize(rate.normalizer)
    said = rate.split(normalizer(answer))
    accepted = [rate.split(normalizer(text)) for text in references]
    if not accepted:
        raise ValueError("a sample has no reference")
    reference = min(accepted, key=lambda units: Levenshtein.distance(units, said) / max(len(units), 1))
    return tuple(
        Edit(
            cast("EditKind", step.tag),
            tuple(reference[step.src_start : step.src_end]),
            tuple(said[step.dest_start : step.dest_end]),
        )
        for step in Levenshtein.opcodes(reference, said)
    )
