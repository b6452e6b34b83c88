"""Mutual information and divergence against routers whose values are known, and against scikit-learn and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import mutual_info_score

from evalkit.diagnostics.information import (
    divergence,
    entropy,
    information,
    jensen_shannon,
    mutual_information,
)

FAMILIES = ["speech", "sound", "music", "emotion"]
CLIPS = [family for family in FAMILIES for _ in range(12)]
UNITS = [f"voice {i // 2}" for i in range(len(CLIPS))]


def hand_made(top_k: int) -> np.ndarray:
    """Loads of a router that sends each family to experts of its own, `top_k` of them."""
    loads = np.zeros((len(CLIPS), 8))
    for clip, family in enumerate(CLIPS):
        first = FAMILIES.index(family) * top_k
        loads[clip, first : first + top_k] = 1 / top_k
    return loads


@pytest.mark.parametrize("top_k", [1, 2])
def test_a_router_whose_expert_is_the_family_tells_all_of_it(top_k: int) -> None:
    found = information(hand_made(top_k), CLIPS, UNITS, seed=0, permutations=400)
    assert found.plugin == pytest.approx(math.log2(4)) == pytest.approx(found.bound)
    assert found.p == 1 / 401
    assert 0 < found.bias < 0.6
    assert found.units == 24


def test_a_router_that_sends_everything_everywhere_tells_nothing() -> None:
    found = information(np.full((len(CLIPS), 8), 1 / 8), CLIPS, UNITS, seed=0, permutations=200)
    assert found.plugin == pytest.approx(0, abs=1e-12)
    assert found.corrected == pytest.approx(0, abs=1e-12)
    assert found.p == 1


def test_chance_is_taken_off_where_routing_has_nothing_to_do_with_the_label() -> None:
    rng = np.random.default_rng(3)
    corrected, p_values = [], []
    for seed in range(60):
        loads = rng.dirichlet(np.full(8, 0.5), size=len(CLIPS))
        found = information(loads, CLIPS, [str(i) for i in range(len(CLIPS))], seed=seed, permutations=99)
        corrected.append(found.corrected)
        p_values.append(found.p)
        assert found.plugin > 0
    assert abs(np.mean(corrected)) < 3 * np.std(corrected) / math.sqrt(60)
    assert 0.3 < np.mean(p_values) < 0.7


def test_unequal_groups_give_the_entropy_of_their_sizes() -> None:
    loads = np.eye(8)[[0] * 6 + [1] * 2]
    found = information(loads, ["a"] * 6 + ["b"] * 2, list("abcdefgh"), seed=0, permutations=50)
    assert found.plugin == pytest.approx(entropy(np.array([0.75, 0.25])))


def test_voices_not_clips_are_exchanged() -> None:
    """Two voices, one of each family: however many clips they spoke, chance does as well half the time."""
    loads = np.eye(8)[[0] * 20 + [1] * 20]
    labels, units = ["a"] * 20 + ["b"] * 20, ["v1"] * 20 + ["v2"] * 20
    assert information(loads, labels, units, seed=0, permutations=200).p == 1
    alone = [str(i) for i in range(40)]
    assert information(loads, labels, alone, seed=0, permutations=200).p == 1 / 201


def test_counts_give_the_mutual_information_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    label, expert = rng.integers(0, 4, 500), rng.integers(0, 6, 500)
    counts = np.zeros((4, 6))
    np.add.at(counts, (label, expert), 1.0)
    assert mutual_information(counts) == pytest.approx(mutual_info_score(label, expert) / math.log(2))


def test_divergence_is_that_of_scipy_and_bounded_by_one() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.dirichlet(np.ones(8), size=2)
    assert jensen_shannon(one, other) == pytest.approx(float(jensenshannon(one, other, base=2)) ** 2)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert jensen_shannon(one, one) == 0


def test_tasks_with_experts_of_their_own_are_one_bit_apart() -> None:
    keep = [i for i, family in enumerate(CLIPS) if family in ("speech", "music")]
    labels, units = [CLIPS[i] for i in keep], [UNITS[i] for i in keep]
    found = divergence(hand_made(2)[keep], labels, units, seed=0, permutations=200)
    assert found.plugin == pytest.approx(1)
    assert found.p < 0.02
    with pytest.raises(ValueError, match="between two groups, not 4"):
        divergence(hand_made(2), CLIPS, UNITS, seed=0)


def test_nothing_has_no_information() -> None:
    with pytest.raises(ValueError, match="no counts"):
        mutual_information(np.zeros((2, 2)))
