"""Paired tests: parity with scipy, clusters, honesty under the null hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from evalkit import metrics
from evalkit.stats import holm, interval, mcnemar, paired_interval, randomisation

Array = NDArray[np.float64]
WER = metrics.get("wer", {}).fit([])
ACCURACY = metrics.get("accuracy", {}).fit([])


@dataclass(frozen=True)
class ByWeights:
    """WER without the additive short cut."""

    def reduce(self, statistics: Array, weights: Array) -> Array:
        return WER.reduce(statistics, weights)


def two_systems(n: int, gap: float, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    words = rng.integers(3, 15, size=n)
    first = np.stack([rng.binomial(words, 0.2), words], axis=1)
    second = np.stack([rng.binomial(words, 0.2 + gap), words], axis=1)
    return first.astype(float), second.astype(float)


def wer_gap(x: NDArray[np.complex128], y: NDArray[np.complex128], axis: int) -> Array:
    """Errors are the real part, words the imaginary one, so that scipy swaps both together."""
    one, two = x.sum(axis=axis), y.sum(axis=axis)
    return one.real / one.imag - two.real / two.imag


@pytest.mark.parametrize("gap", [0.0, 0.04])
def test_randomisation_of_wer_equals_scipy(gap: float) -> None:
    first, second = two_systems(80, gap)
    found = randomisation(WER, first, second, None, resamples=40_000, seed=0)
    data = (first[:, 0] + 1j * first[:, 1], second[:, 0] + 1j * second[:, 1])
    expected = scipy.stats.permutation_test(
        data, wer_gap, permutation_type="samples", vectorized=True, n_resamples=40_000, rng=1, batch=2000
    )
    assert found.difference == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.012)


def test_few_units_are_tried_in_every_way_as_scipy_does() -> None:
    first, second = two_systems(9, 0.1)
    found = randomisation(WER, first, second, None, seed=0)
    data = (first[:, 0] + 1j * first[:, 1], second[:, 0] + 1j * second[:, 1])
    expected = scipy.stats.permutation_test(
        data, wer_gap, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert found.method == "exact randomisation"
    assert found.p == pytest.approx(expected.pvalue, abs=1e-12)


def test_the_additive_short_cut_changes_nothing() -> None:
    first, second = two_systems(120, 0.03)
    names = [str(i % 40) for i in range(120)]
    for clusters in (None, names):
        fast = randomisation(WER, first, second, clusters, resamples=20_000, seed=0)
        slow = randomisation(ByWeights(), first, second, clusters, resamples=20_000, seed=1)
        assert fast.p == pytest.approx(slow.p, abs=0.015)
        assert (fast.difference, fast.units) == (pytest.approx(slow.difference), slow.units)


def test_whole_clusters_are_exchanged() -> None:
    """Ten copies of every sample are no new evidence when the copies are a cluster."""
    first, second = two_systems(25, 0.08, seed=3)
    once = randomisation(WER, first, second, None, seed=0)
    names = [str(i) for i in np.repeat(np.arange(25), 10)]
    tenfold = [np.repeat(system, 10, axis=0) for system in (first, second)]
    clustered = randomisation(WER, *tenfold, names, seed=0)
    assert clustered.p == pytest.approx(once.p, abs=0.02)
    assert clustered.units == 25
    assert randomisation(WER, *tenfold, None, seed=0).p < 0.2 * once.p


def test_equal_systems_do_not_differ() -> None:
    first, _ = two_systems(50, 0.0)
    found = randomisation(WER, first, first, None, seed=0)
    assert (found.difference, found.p) == (0, 1)


def test_a_null_hypothesis_is_rejected_as_often_as_promised() -> None:
    """5 % of 400 pairs of equal systems, give or take 3 sigma; likewise for intervals of the difference."""
    rejected, excluded = 0, 0
    for seed in range(400):
        first, second = two_systems(60, 0.0, seed)
        rejected += randomisation(WER, first, second, None, resamples=500, seed=seed).p < 0.05
        bounds = paired_interval(WER, first, second, None, resamples=500, seed=seed)
        excluded += bounds.low > 0 or bounds.high < 0
    assert 7 <= rejected <= 33
    assert 7 <= excluded <= 40


def test_a_planted_difference_is_found() -> None:
    first, second = two_systems(300, 0.06)
    assert randomisation(WER, first, second, None, seed=0).p < 0.001
    bounds = paired_interval(WER, first, second, None, seed=0)
    assert bounds.high < 0
    single = interval(WER, first, None, seed=0)
    assert bounds.high - bounds.low < 2 * (single.high - single.low)


def test_the_seed_decides() -> None:
    first, second = two_systems(60, 0.03)
    one, again, other = (randomisation(WER, first, second, None, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (5, 0), (12, 4), (30, 29)])
def test_mcnemar_is_exact(won: int, lost: int) -> None:
    first = np.array([1.0] * won + [0.0] * lost + [1.0] * 20)
    second = np.array([0.0] * won + [1.0] * lost + [1.0] * 20)
    expected = scipy.stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    found = mcnemar(first, second)
    assert found.p == pytest.approx(expected)
    assert found.difference == pytest.approx((won - lost) / (won + lost + 20))


def test_randomisation_of_accuracy_agrees_with_mcnemar() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.random(200) < 0.7).astype(float), (rng.random(200) < 0.62).astype(float)
    found = randomisation(ACCURACY, first[:, None], second[:, None], None, resamples=40_000, seed=0)
    assert found.p == pytest.approx(mcnemar(first, second).p, abs=0.01)


def test_systems_must_have_answered_the_same_samples() -> None:
    first, second = two_systems(20, 0.0)
    for call in (randomisation, paired_interval):
        with pytest.raises(ValueError, match="same samples"):
            call(WER, first, second[:10], None, seed=0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, float("nan")])
