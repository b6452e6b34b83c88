from __future__ import annotations

import pytest

from evalkit.runner.progress import Meter


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rates_count_this_process_only_and_done_counts_all() -> None:
    clock = Clock()
    meter = Meter(100, 20, clock)
    assert meter.rates().eta_seconds is None
    clock.now += 4.0
    meter.advance(10, 30.0)
    meter.advance(10, 10.0)
    rates = meter.rates()
    assert (rates.done, rates.total) == (40, 100)
    assert rates.samples_per_second == pytest.approx(5.0)
    assert rates.times_real_time == pytest.approx(10.0)
    assert rates.eta_seconds == pytest.approx(12.0)


def test_a_clock_that_was_set_back_gives_no_negative_rates() -> None:
    clock = Clock()
    meter = Meter(10, 0, clock)
    clock.now -= 50.0
    meter.advance(1, 1.0)
    rates = meter.rates()
    assert rates.samples_per_second > 0
    assert rates.eta_seconds is not None
    assert rates.eta_seconds >= 0
