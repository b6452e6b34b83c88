"""Averages: macro over families, error rates turned round, nothing averaged that was not run."""

from __future__ import annotations

import math

import pytest
from board import record, records, value

from evalkit.leaderboard import build_table, select
from evalkit.leaderboard.averages import averages, quality
from evalkit.results.record import MetricValue


def test_a_side_is_the_mean_of_its_families_and_a_family_of_its_tasks() -> None:
    results = [record("m", "asr_en", 0.9), record("m", "asr_de", 0.5), record("m", "captions", 0.3)]
    (semantic,) = averages(build_table(results))
    assert semantic.side == "semantic"
    assert semantic.scores[0].value == pytest.approx(100 * ((0.9 + 0.5) / 2 + 0.3) / 2)


def test_what_was_averaged_is_said() -> None:
    semantic, paralinguistic = averages(build_table(select(records())))
    assert semantic.statement == (
        "Semantic average: mean over families of the mean of their tasks, 0 to 100: "
        "asr (asr_de by 1 − WER, asr_en by 1 − WER); captioning (captions by ROUGE-L)."
    )
    assert "emotion (acted by accuracy); speaker (gender by accuracy)" in paralinguistic.statement


def test_a_row_without_a_task_has_no_average() -> None:
    table = build_table(select(records()))
    whisper = [row.label for row in table.rows].index("whisper")
    semantic, paralinguistic = (average.scores[whisper] for average in averages(table))
    assert (semantic.value, semantic.missing) == (None, ("captions",))
    assert paralinguistic.missing == ("acted", "gender")


def test_a_task_that_few_rows_have_takes_no_average_away() -> None:
    results = [record(model, "asr_en", 0.8) for model in ("a", "b", "c")]
    results += [record("a", "asr_de", 0.2), record("a", "captions", 0.6), record("b", "captions", 0.6)]
    (semantic,) = averages(build_table(results))
    assert [score.value for score in semantic.scores] == [pytest.approx(70), pytest.approx(70), None]
    assert semantic.scores[2].missing == ("captions",)
    assert "Left out: asr_de (run for fewer than half of the rows)." in semantic.statement


def test_the_interval_adds_the_variances_of_independent_tasks() -> None:
    results = [record("m", task, 0.5) for task in ("asr_en", "captions")]
    (semantic,) = averages(build_table(results))
    score = semantic.scores[0]
    half = 100 * math.sqrt(2 * (0.5 * 0.05) ** 2)
    assert (score.low, score.high) == (pytest.approx(50 - half), pytest.approx(50 + half))


def test_the_lower_end_of_an_error_rate_is_the_upper_end_of_its_quality() -> None:
    skewed = MetricValue(value=0.3, low=0.28, high=0.5, higher_is_better=False)
    (semantic,) = averages(build_table([record("m", "asr_en", 0.0, metrics={"wer,none": skewed})]))
    score = semantic.scores[0]
    assert (score.low, score.value, score.high) == (pytest.approx(50), pytest.approx(70), pytest.approx(72))


def test_one_task_without_an_interval_leaves_the_average_without_one() -> None:
    bare = MetricValue(value=0.3)
    results = [record("m", "acted", 0.5), record("m", "gender", 0.0, metrics={"accuracy,none": bare})]
    (average,) = averages(build_table(results))
    assert (average.scores[0].value, average.scores[0].low) == (pytest.approx(40), None)


def test_open_ended_metrics_and_mixed_columns_are_left_out_by_name() -> None:
    only_cider = record("m", "captions", 0.5, metrics={"cider,none": value("cider", 1.7)})
    (semantic,) = averages(build_table([record("m", "asr_en", 0.5), only_cider]))
    assert semantic.scores[0].value == pytest.approx(50)
    assert "Left out: captions" in semantic.statement
    other = record("n", "gender", 0.4)
    other = other.model_copy(
        update={"fingerprints": other.fingerprints.model_copy(update={"prompt": "other"})}
    )
    mixed = build_table([record("m", "gender", 0.5), other, record("m", "acted", 0.3)], allow_mixed=True)
    (paralinguistic,) = averages(mixed)
    assert "Left out: gender (a), gender (b)" in paralinguistic.statement


@pytest.mark.parametrize(
    ("metric", "given", "expected"),
    [("wer,none", 0.25, 0.75), ("wer,none", 1.6, 0.0), ("uar,none", 0.4, 0.4), ("bleu,none", 30.0, 0.3)],
)
def test_quality_runs_from_0_to_1(metric: str, given: float, expected: float) -> None:
    assert quality(metric, given) == pytest.approx(expected)


def test_cider_has_no_best_value() -> None:
    assert quality("cider,none", 1.0) is None


def test_a_table_without_sides_has_no_averages() -> None:
    assert averages(build_table([record("m", "asr_en", 0.5, side="")])) == ()


def test_seeds_are_averaged_before_their_spread_is_taken() -> None:
    """Tasks of one trained model rise and fall together: here they cancel, and the average has no spread."""
    qualities = {"m": (0.5, 0.7), "m-s1": (0.6, 0.6), "m-s2": (0.7, 0.5)}
    results = [
        record(name, task, quality)
        for name, both in qualities.items()
        for task, quality in zip(("asr_en", "captions"), both, strict=True)
    ]
    table = build_table(select(results))
    (semantic,) = averages(table)
    assert table.rows[0].seeds == (0, 1, 2)
    mean, *single = semantic.scores
    assert mean.value == pytest.approx(60)
    assert (mean.low, mean.high) == pytest.approx((single[0].low, single[0].high))
    assert "A mean over seeds" in semantic.statement
    lacking = averages(build_table(select(results[:-1])))[0].scores[0]
    assert (lacking.value, lacking.missing) == (None, ("captions",))
