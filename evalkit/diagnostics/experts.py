"""Who hears how much: load, probability, entropy and balance of one layer of routed experts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.diagnostics.information import entropy
from evalkit.inside import Routing

Floats = NDArray[np.float64]

DEAD = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """How a set of tokens was routed; every token counts once.

    load: share of the routed slots by expert; probability: mean of the router's, before the cut to top-k;
    decided: 1 - mean entropy of a token's probabilities / log2 experts, so 0 is a router that prefers
    nothing; even: entropy of the load / log2 experts, so 1 is every expert alike;
    balance_loss: experts * sum of probability * load (Fedus et al. 2021, eq. 4), 1 when even.
    """

    tokens: int
    load: Floats
    probability: Floats
    decided: float
    even: float
    balance_loss: float

    def dead(self) -> list[int]:
        """Experts with less than a hundredth of an even share."""
        return [int(e) for e in np.flatnonzero(self.load < DEAD / len(self.load))]

    def dominating(self, top_k: int) -> list[int]:
        """Experts whose load is beyond the middle between an even share, 1 / experts, and the most that one
        can have, 1 / top_k."""
        middle = (1 / len(self.load) + 1 / top_k) / 2
        if top_k == len(self.load):
            return []
        return [int(e) for e in np.flatnonzero(self.load > middle)]


def slots(routing: Routing) -> Floats:
    """How many tokens chose each expert, [experts]."""
    count = routing.probabilities.shape[1]
    return np.bincount(routing.experts.ravel(), minlength=count).astype(np.float64)


def usage(routings: Sequence[Routing]) -> Usage:
    """Of all tokens of these items. ValueError when there is none."""
    probabilities = np.concatenate([r.probabilities for r in routings]).astype(np.float64)
    if not len(probabilities):
        raise ValueError("no audio tokens: there is no routing to describe")
    chosen = np.sum([slots(r) for r in routings], axis=0)
    load, probability = chosen / chosen.sum(), probabilities.mean(axis=0)
    most = np.log2(len(load)) or 1.0
    return Usage(
        tokens=len(probabilities),
        load=load,
        probability=probability,
        decided=float(1 - entropy(probabilities).mean() / most),
        even=float(entropy(load) / most),
        balance_loss=float(len(load) * (probability * load).sum()),
    )


def clip_loads(routings: Sequence[Routing]) -> Floats:
    """The load in each item alone, [items, experts]."""
    counts = np.stack([slots(r) for r in routings])
    loads: Floats = counts / counts.sum(axis=1, keepdims=True)
    return loads


def co_activation(routings: Sequence[Routing]) -> Floats:
    """Share of tokens that chose both experts, [experts, experts]; on the diagonal, those that chose it."""
    count = routings[0].probabilities.shape[1]
    chosen = np.concatenate([r.experts for r in routings])
    member = np.zeros((len(chosen), count))
    member[np.arange(len(chosen))[:, None], chosen] = 1.0
    together: Floats = member.T @ member / len(chosen)
    return together
