"""Axes: where a value lies on a line, and the round numbers that are written along it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """A line from `low` to `high`, logarithmic or not. `ticks` are round numbers on it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where `value` lies: 0 at `low`, 1 at `high`, never outside."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(value))
            if self.logarithmic
            else (self.low, self.high, value)
        )
        return min(max((value - low) / (high - low), 0.0), 1.0)


def linear(values: Sequence[float], *, at_least: float, bounds: tuple[float, float] | None = None) -> Scale:
    """A scale around all values, `at_least` wide, within `bounds`, that ends on round numbers."""
    low, high = min(values), max(values)
    room = max(at_least - (high - low), 0.0) / 2 + 0.06 * max(high - low, at_least)
    low, high = low - room, high + room
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(place * step, 12) for place in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def logarithmic(values: Sequence[float]) -> Scale:
    """A scale around all values, which are positive, from round number to round number."""
    low, high = min(values) / 1.25, max(values) * 1.25
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    round_numbers = [step * 10.0**decade for decade in decades for step in steps]
    below = max((number for number in round_numbers if number <= low), default=round_numbers[0])
    above = min((number for number in round_numbers if number >= high), default=round_numbers[-1])
    ticks = tuple(number for number in round_numbers if below <= number <= above)
    return Scale(below, above, ticks, logarithmic=True)


def _step(width: float) -> float:
    """1, 2 or 5 times a power of ten that divides `width` into four to ten parts."""
    power = 10.0 ** math.floor(math.log10(width / 5))
    return next(step * power for step in (1, 2, 5, 10) if width / (step * power) <= 7)
