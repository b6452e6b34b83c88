"""Load, balance and co-activation of routings made by hand; similarity of outputs that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import make_blobs

from evalkit.diagnostics.experts import clip_loads, co_activation, usage
from evalkit.diagnostics.separability import linear_probe, principal_components
from evalkit.diagnostics.similarity import linear_cka, pairwise, subspace_overlap
from evalkit.inside import Routing
from model_adapters.audio_llm.moe import balance_loss, route

RNG = np.random.default_rng(0)


def routed(experts: list[list[int]], count: int = 4) -> Routing:
    """A router that gives all its probability to what it chose."""
    chosen = np.array(experts)
    probabilities = np.zeros((len(chosen), count), dtype=np.float32)
    np.put_along_axis(probabilities, chosen, 1 / chosen.shape[1], axis=1)
    return Routing(probabilities, chosen, np.full(chosen.shape, 1 / chosen.shape[1], dtype=np.float32))


def test_one_expert_that_hears_everything() -> None:
    found = usage([routed([[0]] * 5), routed([[0]] * 3)])
    assert found.tokens == 8
    assert found.load.tolist() == [1, 0, 0, 0]
    assert (found.decided, found.even, found.balance_loss) == (1, 0, 4)
    assert found.dead() == [1, 2, 3]
    assert found.dominating(top_k=1) == [0]


def test_experts_that_take_turns() -> None:
    found = usage([routed([[0, 1], [2, 3], [1, 2], [3, 0]])])
    assert found.load.tolist() == [0.25] * 4
    assert found.even == pytest.approx(1)
    assert found.balance_loss == pytest.approx(1)
    assert found.decided == pytest.approx(0.5)
    assert found.dead() == found.dominating(top_k=2) == []


def test_when_every_expert_is_chosen_none_dominates() -> None:
    assert usage([routed([[0, 1, 2, 3]])]).dominating(top_k=4) == []


def test_balance_loss_is_the_one_that_training_minimises() -> None:
    logits = 2 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
    made = route(logits, 3)
    mine = Routing(made.probabilities.numpy(), made.experts.numpy(), made.gates.numpy())
    found = usage([mine])
    assert found.balance_loss == pytest.approx(float(balance_loss(made)), rel=1e-5)
    assert found.probability == pytest.approx(made.probabilities.mean(0).double().numpy(), abs=1e-6)


def test_a_clip_has_a_load_of_its_own_and_pairs_are_counted_by_token() -> None:
    parts = [routed([[0, 1]] * 3), routed([[2, 1]])]
    assert clip_loads(parts).tolist() == [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0]]
    together = co_activation(parts)
    assert together.diagonal().tolist() == [0.75, 1, 0.25, 0]
    assert (together[0, 1], together[1, 2], together[0, 2]) == (0.75, 0.25, 0)


def test_no_tokens_have_no_routing() -> None:
    empty = Routing(np.zeros((0, 4), np.float32), np.zeros((0, 2), np.int64), np.zeros((0, 2), np.float32))
    with pytest.raises(ValueError, match="no audio tokens"):
        usage([empty])


def rotation(width: int) -> NDArray[np.float64]:
    return np.linalg.qr(RNG.standard_normal((width, width)))[0]


def test_cka_is_one_for_rotated_outputs_and_zero_on_average_for_independent_ones() -> None:
    x = RNG.standard_normal((60, 12))
    assert linear_cka(x, 3.0 * x @ rotation(12) + 1.0) == pytest.approx(1)
    independent = [linear_cka(*RNG.standard_normal((2, 30, 50))) for _ in range(60)]
    assert abs(np.mean(independent)) < 3 * np.std(independent) / np.sqrt(60)


def test_cka_tends_to_the_one_of_covariances() -> None:
    """Kornblith et al. 2019, eq. 3, in its biased form, which is the limit for many tokens."""
    x = RNG.standard_normal((3000, 4))
    y = x @ RNG.standard_normal((4, 5)) + RNG.standard_normal((3000, 5))
    a, b = x - x.mean(0), y - y.mean(0)
    norms = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    assert linear_cka(x, y) == pytest.approx(np.linalg.norm(a.T @ b) ** 2 / norms, abs=0.005)


def test_overlap_is_one_for_the_same_subspace_none_for_orthogonal_ones_and_rank_by_width_by_chance() -> None:
    basis = rotation(20)
    x, y = (RNG.standard_normal((50, 5)) @ basis[at : at + 5] for at in (0, 5))
    assert subspace_overlap(x, 2 * x, 5) == pytest.approx(1)
    assert subspace_overlap(x, y, 5) == pytest.approx(0, abs=1e-12)
    chance = [subspace_overlap(*RNG.standard_normal((2, 80, 20)), 5) for _ in range(40)]
    assert np.mean(chance) == pytest.approx(5 / 20, abs=0.03)
    with pytest.raises(ValueError, match="no 30 principal directions"):
        subspace_overlap(x, y, 30)


def test_all_pairs_at_once_give_what_single_pairs_do() -> None:
    outputs = RNG.standard_normal((40, 3, 10))
    cka, overlap = pairwise(outputs, 4)
    assert cka[2, 0] == cka[0, 2] == pytest.approx(linear_cka(outputs[:, 0], outputs[:, 2]))
    assert overlap[1, 2] == pytest.approx(subspace_overlap(outputs[:, 1], outputs[:, 2], 4))
    assert cka.diagonal().tolist() == overlap.diagonal().tolist() == [1, 1, 1]


def test_two_components_hold_the_variance_that_a_plane_has() -> None:
    plane = RNG.standard_normal((50, 2)) @ np.diag([3.0, 1.0]) @ rotation(10)[:2]
    places, shares = principal_components(plane + 7.0)
    assert sum(shares) == pytest.approx(1)
    assert shares[0] > shares[1]
    between = np.linalg.norm(plane[0] - plane[1])
    assert np.linalg.norm(places[0] - places[1]) == pytest.approx(between)


def test_a_probe_tells_blobs_apart_and_noise_not() -> None:
    points, blob = make_blobs(120, n_features=20, centers=3, random_state=0)
    labels, units = [f"family {b}" for b in blob], [str(i // 2) for i in range(120)]
    apart = linear_probe(points, labels, units, seed=0)
    assert apart is not None
    assert apart.uar == 1
    assert apart.chance == pytest.approx(1 / 3)
    noise = linear_probe(RNG.standard_normal((120, 20)), labels, units, seed=0)
    assert noise is not None
    assert noise.bounds.low is not None
    assert noise.bounds.low < 1 / 3 + 0.1 and noise.uar < 0.6


def test_a_probe_needs_two_units_of_every_label() -> None:
    points = RNG.standard_normal((6, 3))
    assert linear_probe(points, list("aaabbb"), list("uuuvwx"), seed=0) is None
    assert linear_probe(points, list("aaaaaa"), list("uvwxyz"), seed=0) is None
