"""Means over training seeds, and the interval that so few values allow."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from evalkit.metrics import get
from evalkit.stats import Additive, paired_interval, randomisation
from evalkit.stats.matched_pairs import matched_pairs
from evalkit.stats.seeds import MeanOverSeeds, mean_over_seeds, over_seeds_and_samples, t_interval

REFERENCES = [[label] for label in "aabbbccaab"]
ANSWERS = [list("aabbbccbab"), list("abbbbcaaab"), list("babbaccaaa")]


@pytest.mark.parametrize("name", ["accuracy", "uar", "macro_f1"])
def test_the_mean_of_the_values_in_every_resample(name: str) -> None:
    scorer = get(name, {}).fit(REFERENCES)
    parts = [scorer.statistics(REFERENCES, answers) for answers in ANSWERS]
    weights = np.random.default_rng(0).integers(0, 3, size=(20, 10)).astype(float)
    expected = np.mean([scorer.reduce(part, weights) for part in parts], axis=0)
    mean = mean_over_seeds(scorer, 3)
    assert isinstance(mean, Additive)
    assert mean.reduce(np.hstack(parts), weights) == pytest.approx(expected, nan_ok=True)
    assert MeanOverSeeds(scorer, 3).reduce(np.hstack(parts), weights) == pytest.approx(expected, nan_ok=True)


def test_one_seed_is_the_scorer_itself() -> None:
    scorer = get("accuracy", {}).fit(REFERENCES)
    assert mean_over_seeds(scorer, 1) is scorer


def test_paired_tests_take_means_over_seeds() -> None:
    scorer = get("wer", {}).fit(REFERENCES)
    one, two, three = (scorer.statistics(REFERENCES, answers) for answers in ANSWERS)
    mean = mean_over_seeds(scorer, 2)
    first, second = np.hstack([one, two]), np.hstack([three, two])
    test = randomisation(mean, first, second, None, seed=0)
    assert test.difference == pytest.approx((one - three)[:, 0].sum() / 10 / 2)
    bounds = paired_interval(mean, first, second, None, seed=0)
    assert bounds.low is not None and bounds.high is not None
    assert bounds.low <= test.difference <= bounds.high


def test_t_interval_is_scipys() -> None:
    values = [0.31, 0.28, 0.37]
    bounds = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    found = t_interval(values)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert found.note == "only 3 seeds"
    over_batches = t_interval(values, one="batch", many="batches")
    assert (over_batches.method, over_batches.note) == ("t interval over batches", "only 3 batches")
    assert t_interval([*values, 0.3, 0.4]).note == ""


def test_one_seed_has_no_interval_and_no_value_is_an_error() -> None:
    assert (t_interval([0.3]).low, t_interval([0.3]).note) == (None, "no interval: only one seed")
    for values in ([], [0.3, float("nan")]):
        with pytest.raises(ValueError, match="finite values"):
            t_interval(values)


def test_the_interval_over_seeds_and_samples_adds_squares() -> None:
    values = [0.31, 0.28, 0.37]
    seeds = t_interval(values)
    assert seeds.low is not None and seeds.high is not None
    centre = np.mean(values)
    found = over_seeds_and_samples(values, centre - 0.03, centre + 0.05)
    assert found.low == pytest.approx(centre - np.hypot(centre - seeds.low, 0.03))
    assert found.high == pytest.approx(centre + np.hypot(seeds.high - centre, 0.05))
    alike = over_seeds_and_samples([0.3, 0.3, 0.3], 0.27, 0.35)
    assert (alike.low, alike.high) == pytest.approx((0.27, 0.35))
    assert over_seeds_and_samples([0.3], 0.27, 0.35).low is None
    alone = over_seeds_and_samples(values, None, 0.4)
    assert (alone.low, alone.high) == (seeds.low, seeds.high)
    assert alone.note == "only 3 seeds; over the seeds alone"


@pytest.mark.parametrize(("of_seeds", "of_samples"), [(1.0, 1.0), (0.2, 1.0), (1.0, 0.2)])
def test_it_covers_the_truth_that_is_over_all_seeds_and_samples(of_seeds: float, of_samples: float) -> None:
    """Three seeds on the same samples; the share of the seeds or of the samples alone would cover less."""
    rng = np.random.default_rng(0)
    covered = alone = 0
    for _ in range(2000):
        values = of_samples * rng.standard_normal() + of_seeds * rng.standard_normal(3)
        half, centre = 1.96 * of_samples, values.mean()
        found = over_seeds_and_samples(list(values), centre - half, centre + half)
        assert found.low is not None and found.high is not None
        covered += found.low <= 0 <= found.high
        seeds = t_interval(list(values))
        assert seeds.low is not None and seeds.high is not None
        alone += seeds.low <= 0 <= seeds.high
    assert covered / 2000 > 0.94
    assert of_samples < of_seeds or alone / 2000 < 0.9


def test_matched_pairs_is_a_z_test_of_the_errors_a_segment() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.poisson(2.0, 200).astype(float), rng.poisson(1.7, 200).astype(float)
    statistic = scipy.stats.ttest_rel(first, second).statistic
    found = matched_pairs(first, second, None)
    assert found.p == pytest.approx(2 * scipy.stats.norm.sf(abs(statistic)))
    assert found.difference == pytest.approx((first - second).mean())


def test_matched_pairs_of_clusters_are_their_sums() -> None:
    first, second = np.array([1.0, 2.0, 0.0, 3.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 0.0, 0.0, 2.0])
    clusters = ["x", "x", "y", "y", "z", "z"]
    sums = matched_pairs(np.array([3.0, 3.0, 2.0]), np.array([0.0, 1.0, 2.0]), None)
    assert matched_pairs(first, second, clusters) == sums
    assert sums.units == 3


def test_matched_pairs_of_equal_systems_is_one() -> None:
    errors = np.array([1.0, 0.0, 2.0])
    assert matched_pairs(errors, errors, None).p == 1.0
    with pytest.raises(ValueError, match="same samples"):
        matched_pairs(errors, errors[:2], None)
