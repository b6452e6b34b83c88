"""Intervals: parity with scipy, clusters, refusals, determinism, bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from evalkit import metrics
from evalkit.stats import difference, interval, wilson

Array = NDArray[np.float64]
WER = metrics.get("wer", {}).fit([])
ACCURACY = metrics.get("accuracy", {}).fit([])


@dataclass(frozen=True)
class Spread:
    """Standard deviation, by weights."""

    def reduce(self, statistics: Array, weights: Array) -> Array:
        shares = weights / weights.sum(axis=1, keepdims=True)
        means = shares @ statistics
        return np.sqrt((shares @ statistics**2 - means**2)[:, 0])


@dataclass(frozen=True)
class ByWeights:
    """WER reduced sample by sample: the same values without the additive short cut."""

    def reduce(self, statistics: Array, weights: Array) -> Array:
        return WER.reduce(statistics, weights)


def utterances(n: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    words = rng.integers(1, 20, size=n)
    return np.stack([rng.binomial(words, 0.2), words], axis=1).astype(float)


def ratio(errors: Array, words: Array, axis: int) -> Array:
    return errors.sum(axis=axis) / words.sum(axis=axis)


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_wer_intervals_equal_scipy(ours: str, theirs: str) -> None:
    statistics = utterances(60)
    found = interval(WER, statistics, None, resamples=60_000, seed=0, method=ours)
    columns = (statistics[:, 0], statistics[:, 1])
    expected = scipy.stats.bootstrap(
        columns, ratio, paired=True, vectorized=True, n_resamples=60_000, method=theirs, rng=1, batch=2000
    ).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.02 * width)
    assert found.high == pytest.approx(expected.high, abs=0.02 * width)


def test_bca_moves_a_skewed_interval_as_scipy_does() -> None:
    skewed = np.random.default_rng(3).exponential(size=(25, 1))
    percentile = interval(Spread(), skewed, None, resamples=60_000, seed=0)
    bca = interval(Spread(), skewed, None, resamples=60_000, seed=0, method="bca")
    expected = scipy.stats.bootstrap(
        (skewed[:, 0],), np.std, n_resamples=60_000, method="BCa", rng=1
    ).confidence_interval
    width = expected.high - expected.low
    assert bca.low > percentile.low + 0.1 * width
    assert bca.low == pytest.approx(expected.low, abs=0.02 * width)
    assert bca.high == pytest.approx(expected.high, abs=0.03 * width)


def test_whole_clusters_are_drawn() -> None:
    """20 clusters of 10 equal samples carry as much as 20 samples, not 200."""
    statistics = utterances(20)
    names = [f"voice {i}" for i in range(20)]
    once = interval(WER, statistics, names, seed=0)
    tenfold = interval(WER, np.repeat(statistics, 10, axis=0), list(np.repeat(names, 10)), seed=0)
    unclustered = interval(WER, np.repeat(statistics, 10, axis=0), None, seed=0)
    assert (once.low, once.high) == pytest.approx((tenfold.low, tenfold.high))
    assert once.clusters == tenfold.clusters == 20
    assert unclustered.clusters == 0
    assert unclustered.high - unclustered.low < 0.5 * (once.high - once.low)


def test_clusters_summed_beforehand_give_what_weighted_samples_give() -> None:
    statistics, names = utterances(300), [str(i % 37) for i in range(300)]
    for method in ("percentile", "bca"):
        summed = interval(WER, statistics, names, resamples=20_000, seed=0, method=method)
        weighted = interval(ByWeights(), statistics, names, resamples=20_000, seed=1, method=method)
        assert summed.low == pytest.approx(weighted.low, abs=0.002)
        assert summed.high == pytest.approx(weighted.high, abs=0.002)


def test_the_order_of_samples_changes_nothing() -> None:
    statistics, names = utterances(100), [str(i % 15) for i in range(100)]
    order = np.random.default_rng(0).permutation(100)
    for clusters in (None, names):
        shuffled = None if clusters is None else [names[i] for i in order]
        assert interval(WER, statistics, clusters, seed=5) == interval(
            WER, statistics[order], shuffled, seed=5
        )


def test_the_seed_decides() -> None:
    statistics = utterances(100)
    assert interval(WER, statistics, None, seed=5) == interval(WER, statistics, None, seed=5)
    assert interval(WER, statistics, None, seed=5) != interval(WER, statistics, None, seed=6)


def test_one_cluster_is_refused() -> None:
    found = interval(WER, utterances(50), ["a"] * 50, seed=0)
    assert (found.low, found.high, found.clusters) == (None, None, 1)
    assert "only one cluster" in found.note


def test_fewer_than_ten_clusters_are_noted() -> None:
    few = interval(WER, utterances(50), [str(i % 9) for i in range(50)], seed=0)
    enough = interval(WER, utterances(50), [str(i % 10) for i in range(50)], seed=0)
    assert "only 9 clusters" in few.note
    assert few.low is not None
    assert enough.note == ""


def test_a_single_sample_has_no_interval() -> None:
    found = interval(WER, utterances(1), None, seed=0)
    assert (found.low, found.high) == (None, None)
    assert "only one sample" in found.note


def test_no_variation_is_noted() -> None:
    found = interval(ACCURACY, np.ones((40, 1)), [str(i // 2) for i in range(40)], seed=0, method="bca")
    assert (found.low, found.high) == (1, 1)
    assert "same value" in found.note


def test_resamples_without_a_value_are_counted_not_hidden() -> None:
    @dataclass(frozen=True)
    class Undefined:
        def reduce(self, statistics: Array, weights: Array) -> Array:
            return np.where(weights[:, 0] > 0, weights @ statistics[:, 0], np.nan)

    found = interval(Undefined(), np.arange(12.0)[:, None], None, seed=0)
    assert "resamples had no value" in found.note
    assert found.low is not None


@pytest.mark.parametrize(("level", "method"), [(1.0, "percentile"), (0.0, "bca"), (0.95, "basic")])
def test_bad_settings_are_refused(level: float, method: str) -> None:
    with pytest.raises(ValueError, match=r"level|method"):
        interval(WER, utterances(20), None, level=level, seed=0, method=method)


def test_cluster_names_must_match_the_samples() -> None:
    with pytest.raises(ValueError, match="3 cluster names for 20 samples"):
        interval(WER, utterances(20), ["a", "b", "c"], seed=0)


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 10), (1, 10), (7, 12), (50, 100), (100, 100), (1, 1), (0, 1), (13, 4000)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_wilson_equals_scipy(successes: int, n: int, level: float) -> None:
    found = wilson(successes, n, level=level)
    expected = scipy.stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_refuses_what_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="no proportion"):
        wilson(3, 2)


def test_the_interval_of_a_difference_is_paired() -> None:
    first, second = utterances(200, seed=1), utterances(200, seed=1)
    second[:10, 0] += 1
    paired = interval(difference(WER, 2), np.hstack([second, first]), None, seed=0)
    alone = interval(WER, first, None, seed=0)
    assert 0 < paired.low < paired.high
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_nominal_coverage_is_reached() -> None:
    """The 90 % interval of a mean holds the truth in 90 % of 200 experiments, give or take 3 sigma."""
    rng = np.random.default_rng(0)
    names = [str(i) for i in np.repeat(np.arange(100), 3)]
    hits = 0
    for seed in range(200):
        column = np.repeat(rng.normal(size=100), 3) + rng.normal(size=300)
        rows = np.stack([column, np.ones(300)], axis=1)
        found = interval(WER, rows, names, level=0.9, resamples=300, seed=seed)
        hits += found.low <= 0 <= found.high
    assert 0.837 * 200 <= hits <= 0.963 * 200


def test_memory_stays_bounded() -> None:
    statistics = np.random.default_rng(0).random((20_000, 2)) + np.array([0, 1])
    tracemalloc.start()
    interval(WER, statistics, None, resamples=400, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
