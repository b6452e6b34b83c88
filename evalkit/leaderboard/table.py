"""The neutral table: rows are models, columns are tasks and metrics. `build_table` makes it, renderers turn it
into bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.leaderboard.cost import Cost
from evalkit.leaderboard.values import bounds_text, interval_text, metric_label, value_text
from evalkit.results.record import MetricValue

FAMILIES = ("asr", "captioning", "music_qa", "emotion", "speaker")


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one task, made in one way. `variant` tells ways apart (`a`, `b`) where they are mixed."""

    task: str
    metric: str
    higher_is_better: bool
    n: int
    variant: str = ""
    family: str = ""
    side: str = ""

    @property
    def label(self) -> str:
        return metric_label(self.metric, self.higher_is_better)

    @property
    def heading(self) -> str:
        return f"{self.task} ({self.variant})" if self.variant else self.task


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and the numbers of the table's notes that belong to it, from 1.

    counts: answers by status; spread: standard deviation over training seeds, for a mean over them.
    """

    value: MetricValue
    notes: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    spread: float | None = None

    def text(self, metric: str) -> str:
        """`12.3 ± 0.4 [10.1, 14.5] {12.3, 9.8}`, as far as there are such."""
        number = value_text(metric, self.value.value)
        if self.spread is not None:
            number += f" ± {value_text(metric, self.spread)}"
        parts = (number, interval_text(metric, self.value), bounds_text(metric, self.value))
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Row:
    """One model with one audio setting; `cells` in the order of the columns, None where nothing was run.

    label: the model's name and what tells its rows apart: the audio setting where it is not real, and
    backbone, model arguments, weights and dtype where its records were made with more than one of them.
    seeds: those that a mean is over; one_of_many: whether another row is the mean over this and other seeds.
    """

    label: str
    model: str
    audio: str
    cells: tuple[Cell | None, ...]
    cost: Cost
    seeds: tuple[int, ...] = ()
    one_of_many: bool = False

    @property
    def ranked(self) -> bool:
        """Whether the row takes part in best and second best: rows without audio are there to be beaten."""
        return self.audio == "real" and not self.one_of_many


@dataclass(frozen=True, slots=True)
class Table:
    """`notes` are numbered from 1; a cell names the ones that belong to it, the rest are about columns."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
