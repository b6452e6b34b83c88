"""Rows that are means over training seeds."""

from __future__ import annotations

import statistics

import pytest
import scipy.stats
from board import result

from evalkit.leaderboard import build_table, select
from evalkit.results.record import MetricValue, Result


def seeded(value: float, name: str, **changes: object) -> Result:
    return result(name, metrics={"wer,none": MetricValue(value=value, higher_is_better=False)}, **changes)


def test_training_seeds_stand_under_their_mean_and_spread() -> None:
    values = {"moe": 0.31, "moe-s1": 0.28, "moe-s2": 0.37}
    results = [seeded(value, name) for name, value in values.items()]
    table = build_table(select([*results, seeded(0.3, "moe-large")]))
    assert [row.label for row in table.rows] == [
        *("moe (mean of 3 seeds)", "moe", "moe-s1", "moe-s2", "moe-large"),
    ]
    cell = table.rows[0].cells[0]
    assert cell is not None
    bounds = scipy.stats.ttest_1samp(list(values.values()), 0).confidence_interval()
    assert (cell.value.low, cell.value.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))
    assert cell.spread == pytest.approx(statistics.stdev(values.values()))
    assert cell.text("wer,none") == "32.0 ± 4.6 [20.6, 43.4]"
    assert "only 3 seeds" in table.notes[cell.notes[0] - 1]
    assert [row.ranked for row in table.rows] == [True, False, False, False, True]


def test_the_interval_of_a_mean_is_over_seeds_and_samples_and_ends_where_the_metric_does() -> None:
    def heard(value: float) -> dict[str, MetricValue]:
        ends = {"low": value - 0.02, "high": value + 0.04}
        return {"wer,none": MetricValue(value=value, **ends, higher_is_better=False)}

    alike = [result(name, metrics=heard(0.3)) for name in ("moe", "moe-s1", "moe-s2")]
    cell = build_table(select(alike)).rows[0].cells[0]
    assert cell is not None
    assert (cell.value.low, cell.value.high) == pytest.approx((0.28, 0.34))
    assert "joined with that over the samples" in build_table(select(alike)).notes[cell.notes[0] - 1]
    far = [result(name, metrics=heard(value)) for name, value in (("moe", 0.05), ("moe-s1", 0.9))]
    cell = build_table(select(far)).rows[0].cells[0]
    assert cell is not None and cell.value.high is not None
    assert cell.value.low == 0.0 and cell.value.high > 1


def test_what_the_seeds_say_of_their_intervals_stands_at_the_mean_too() -> None:
    value = MetricValue(value=0.3, low=0.2, high=0.4, higher_is_better=False, note="only 4 clusters")
    table = build_table([result(name, metrics={"wer,none": value}) for name in ("moe", "moe-s1")])
    mean, seed = table.rows[0].cells[0], table.rows[1].cells[0]
    assert mean is not None and seed is not None
    assert [table.notes[number - 1] for number in seed.notes] == ["Only 4 clusters."]
    assert {table.notes[number - 1] for number in mean.notes} > {"Only 4 clusters."}


def test_a_mean_needs_a_value_of_every_seed() -> None:
    results = [seeded(0.3, "moe"), seeded(0.4, "moe-s1"), seeded(0.5, "moe-s1", task="other")]
    mean = build_table(select(results)).rows[0]
    assert [cell is None for cell in mean.cells] == [False, True]


def test_one_seed_alone_and_seeds_with_two_rows_have_no_mean() -> None:
    assert [row.label for row in build_table([seeded(0.3, "moe-s1")]).rows] == ["moe-s1"]
    twice = [seeded(0.3, "moe"), seeded(0.3, "moe", backbone="hub", weights="w"), seeded(0.4, "moe-s1")]
    table = build_table(select(twice))
    assert not any(row.seeds for row in table.rows)
    assert (
        "moe: no mean over its seeds, since one of them has two rows, made in different ways." in table.notes
    )
