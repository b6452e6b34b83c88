"""How much an expert tells about a label, and how unlike two tasks' routing is. Bits throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERMUTATIONS = 1000


@dataclass(frozen=True, slots=True)
class Information:
    """A value in bits under exchange of the labels.

    plugin: as counted; bias: mean over permutations, what chance alone gives; corrected: plugin - bias;
    p: share of permutations at least as large; bound: the most it can be; units: what was exchanged.
    """

    plugin: float
    bias: float
    p: float
    bound: float
    units: int

    @property
    def corrected(self) -> float:
        return self.plugin - self.bias


def entropy(distribution: Floats) -> Floats:
    """-sum p log2 p over the last axis, with 0 log 0 = 0 (Shannon 1948)."""
    logs = np.log2(distribution, where=distribution > 0, out=np.zeros_like(distribution, dtype=np.float64))
    result: Floats = -(distribution * logs).sum(axis=-1)
    return result


def mutual_information(joint: Floats) -> float:
    """I(Y; E) of a joint distribution or table of counts [labels, experts] (Cover and Thomas 2006, eq. 2.28)."""
    total = joint.sum()
    if total <= 0:
        raise ValueError("no counts: there is no mutual information of nothing")
    p = joint / total
    return float(entropy(p.sum(axis=1)) + entropy(p.sum(axis=0)) - entropy(p.ravel()))


def jensen_shannon(first: Floats, second: Floats) -> float:
    """Jensen-Shannon divergence of two distributions, 0 (equal) to 1 (disjoint) (Lin 1991, eq. 4.1)."""
    middle = (first + second) / 2
    return float(entropy(middle) - (entropy(first) + entropy(second)) / 2)


def information(
    loads: Floats, labels: Sequence[str], units: Sequence[str], *, seed: int, permutations: int = PERMUTATIONS
) -> Information:
    """Mutual information between the expert of a routed slot and the label of its clip.

    loads: share of each clip's slots by expert [clips, experts], so that a clip counts once however long it
    is. Tokens of a clip are not independent and neither are clips of a unit (voice, prompt), so the
    labels are exchanged between whole units where a unit has one label, else between clips. Miller's
    correction (1955) would take every token for a new observation; the shuffled mean needs no such thing
    (Panzeri et al. 2007, "shuffling").
    """

    def value(sums: Floats, counts: Floats) -> float:
        return mutual_information(sums)

    found, bias, p, count = _permuted(value, loads, labels, units, seed, permutations)
    sizes = np.unique(list(labels), return_counts=True)[1]
    bound = min(float(entropy(sizes / sizes.sum())), float(np.log2(loads.shape[1])))
    return Information(found, bias, p, bound, count)


def divergence(
    loads: Floats, labels: Sequence[str], units: Sequence[str], *, seed: int, permutations: int = PERMUTATIONS
) -> Information:
    """Jensen-Shannon divergence of the mean loads under two labels, with its permutation test."""
    if len(set(labels)) != 2:
        raise ValueError(f"a divergence is between two groups, not {len(set(labels))}")

    def value(sums: Floats, counts: Floats) -> float:
        one, other = sums / counts[:, None]
        return jensen_shannon(one, other)

    found, bias, p, count = _permuted(value, loads, labels, units, seed, permutations)
    return Information(found, bias, p, 1.0, count)


def _permuted(
    value: Callable[[Floats, Floats], float],
    loads: Floats,
    labels: Sequence[str],
    units: Sequence[str],
    seed: int,
    permutations: int,
) -> tuple[float, float, float, int]:
    """(observed, mean over permutations, p, units) of a value of load sums [labels, experts] and counts."""
    names, label = np.unique(list(labels), return_inverse=True)
    unit = np.unique(list(units), return_inverse=True)[1]
    if any(len(set(label[unit == one])) > 1 for one in range(unit.max() + 1)):
        unit = np.arange(len(label))
    count = int(unit.max()) + 1
    sums, sizes, owner = np.zeros((count, loads.shape[1])), np.zeros(count), np.zeros(count, dtype=int)
    np.add.at(sums, unit, loads)
    np.add.at(sizes, unit, 1.0)
    owner[unit] = label

    def measured(owners: NDArray[np.int64]) -> float:
        member = np.eye(len(names))[owners]
        return value(member.T @ sums, member.T @ sizes)

    observed = measured(owner)
    rng = np.random.default_rng(seed)
    chance = np.array([measured(rng.permutation(owner)) for _ in range(permutations)])
    hits = int((chance >= observed - 1e-12).sum())
    return observed, float(chance.mean()), (1 + hits) / (1 + permutations), count
