"""What an arm gains on each side: macro over families, in points of 0 (worst) to 100 (best)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from evalkit.leaderboard.averages import quality
from evalkit.leaderboard.comparison.difference import Difference
from evalkit.leaderboard.comparison.types import AverageGain, TaskComparison
from evalkit.stats.seeds import over_seeds_and_samples


def average_gains(tasks: Sequence[TaskComparison]) -> Iterator[AverageGain]:
    """One for each side. A task counts with the metric that is tested, if it has a best and a worst value."""
    for side in dict.fromkeys(task.side for task in tasks if task.side):
        families: dict[str, list[TaskComparison]] = {}
        for task in tasks:
            if task.side == side and quality(task.tested.metric, task.tested.first) is not None:
                families.setdefault(task.family, []).append(task)
        if families:
            yield _average(side, families)


def _average(side: str, families: Mapping[str, Sequence[TaskComparison]]) -> AverageGain:
    """Intervals put together as variances are added, tasks taken as independent (as `averages` has it).

    With several training seeds the gain is the mean of theirs. There is no interval where tasks have different
    seeds: what a further seed of one task would have moved is not known of the others.
    """
    gain = below = above = 0.0
    bounded = True
    for tasks in families.values():
        weight = 100 / len(families) / len(tasks)
        for task in tasks:
            value, low, high = _quality_gain(task.tested)
            gain += weight * value
            bounded = bounded and low is not None and high is not None
            if low is not None and high is not None:
                below += (weight * max(value - low, 0.0)) ** 2
                above += (weight * max(high - value, 0.0)) ** 2
    names = tuple(task.task for tasks in families.values() for task in tasks)
    seeds = {task.seeds for family in families.values() for task in family}
    if len(seeds) > 1:
        return AverageGain(side, gain, None, None, names)
    several = len(seeds.pop())
    gains = [_seed_gain(families, place) for place in range(several)] if several > 1 else [gain]
    # A rate above 1 that was cut in one seed alone: the tested difference is not that of what is averaged.
    bounded = bounded and math.isclose(fmean(gains), gain, abs_tol=1e-9)
    gain = fmean(gains)
    if not bounded:
        return AverageGain(side, gain, None, None, names, several)
    low, high = gain - math.sqrt(below), gain + math.sqrt(above)
    if several > 1:
        found = over_seeds_and_samples(gains, low, high)
        return AverageGain(side, gain, found.low, found.high, names, several)
    return AverageGain(side, gain, low, high, names)


def _seed_gain(families: Mapping[str, Sequence[TaskComparison]], place: int) -> float:
    """The average gain of one training seed: one trained model links all its tasks."""
    gain = 0.0
    for tasks in families.values():
        for task in tasks:
            spread = task.tested.spread
            ends = [quality(task.tested.metric, arm[place]) or 0.0 for arm in (spread.first, spread.second)]
            gain += 100 / len(families) / len(tasks) * (ends[1] - ends[0])
    return gain


def _quality_gain(found: Difference) -> tuple[float, float | None, float | None]:
    """The gain between 0, worst, and 1, best; no interval where a rate above 1 was cut."""
    ends = [quality(found.metric, value) for value in (found.first, found.second)]
    one, other = (0.0 if end is None else end for end in ends)
    unit = quality(found.metric, 0.0), quality(found.metric, 0.5)
    scale = abs((unit[1] or 0.0) - (unit[0] or 0.0)) / 0.5
    cut = not math.isclose(other - one, scale * found.gain, abs_tol=1e-12)
    if found.low is None or found.high is None or cut:
        return other - one, None, None
    bounds = sorted((found.low, found.high) if found.higher_is_better else (-found.low, -found.high))
    return other - one, scale * bounds[0], scale * bounds[1]
