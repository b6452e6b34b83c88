"""What a comparison found, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.leaderboard.comparison.difference import Difference
from evalkit.leaderboard.cost import Cost

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class SliceDifference:
    """The first metric on a part of the samples. Exploratory: its p takes no part in any correction."""

    by: str
    value: str
    n: int
    difference: Difference


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """Two arms on one task.

    differences: of every metric, the first being the one that is tested; corrected: its p after Holm's
    correction over all `tests` of the comparison; holds: whether it may be expected of further training seeds
    too, as far as there are several (see `Difference.holds`); detectable: the smallest difference it could have shown;
    failures: answers by status of either arm, over `seeds` training seeds.
    """

    task: str
    family: str
    side: str
    n: int
    seeds: tuple[int, ...]
    differences: tuple[Difference, ...]
    slices: tuple[SliceDifference, ...]
    failures: tuple[Mapping[str, int], Mapping[str, int]]
    corrected: float = math.nan
    tests: int = 1
    detectable: float | None = None
    holds: bool = True

    @property
    def tested(self) -> Difference:
        return self.differences[0]

    @property
    def smallest_p(self) -> float:
        """The smallest p that exchanging this many units can give: both ways round out of all exchanges."""
        return 2.0 ** (1 - self.tested.units)

    @property
    def different(self) -> bool:
        return self.corrected < ALPHA


@dataclass(frozen=True, slots=True)
class AverageGain:
    """What the second arm gains on one side, in points of 0 to 100: mean over families of the mean of their
    tasks (see `averages.quality`); `tasks` are those that have a part in it; `seeds`: how many training seeds
    its interval is over, besides the samples.
    """

    side: str
    gain: float
    low: float | None
    high: float | None
    tasks: tuple[str, ...]
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class PairComparison:
    """`only` names the tasks and training seeds that one of the two arms has no run of."""

    first: str
    second: str
    tasks: tuple[TaskComparison, ...]
    averages: tuple[AverageGain, ...]
    only: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every arm against the first. tests: how many p were corrected together; costs by arm."""

    pairs: tuple[PairComparison, ...]
    tests: int
    costs: Mapping[str, Cost]
