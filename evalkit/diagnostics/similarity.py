"""How complementary the experts' outputs are: similarity of what they compute on the same tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def linear_cka(first: Floats, second: Floats) -> float:
    """Centred kernel alignment of two outputs [tokens, width] on the same tokens, with linear kernels.

    Kornblith et al. 2019 (eq. 3), with the unbiased HSIC of Song et al. 2012 (eq. 5) in place of the biased
    one, whose value grows with width / tokens: independent outputs give 0 on average, equal ones up to
    rotation and scale give 1. Needs more than 3 tokens.
    """
    if len(first) != len(second) or len(first) < 4:
        raise ValueError(f"CKA needs the same tokens, at least 4: {len(first)} against {len(second)}")
    return _cka(_off_diagonal(first @ first.T), _off_diagonal(second @ second.T))


def subspace_overlap(first: Floats, second: Floats, rank: int) -> float:
    """||U^T V||_F^2 / rank, U and V the leading principal directions of two outputs [tokens, width].

    Hu et al. 2021 (LoRA), eq. 4. 1: the same subspace; 0: orthogonal ones; two random ones: rank / width.
    """
    return _overlap(_directions(first, rank), _directions(second, rank))


def pairwise(outputs: Floats, rank: int) -> tuple[Floats, Floats]:
    """(CKA, overlap) between all experts of outputs [tokens, experts, width], both [experts, experts]."""
    count = outputs.shape[1]
    each = [outputs[:, expert] for expert in range(count)]
    kernels = [_off_diagonal(x @ x.T) for x in each]
    directions = [_directions(x, rank) for x in each]
    cka, overlap = np.eye(count), np.eye(count)
    for one in range(count):
        for other in range(one):
            cka[one, other] = cka[other, one] = _cka(kernels[one], kernels[other])
            overlap[one, other] = overlap[other, one] = _overlap(directions[one], directions[other])
    return cka, overlap


def _cka(one: Floats, other: Floats) -> float:
    scale = _hsic(one, one) * _hsic(other, other)
    return float(_hsic(one, other) / np.sqrt(scale)) if scale > 0 else float("nan")


def _overlap(one: Floats, other: Floats) -> float:
    return float(np.square(one @ other.T).sum() / len(one))


def _off_diagonal(kernel: Floats) -> Floats:
    kernel = kernel.copy()
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic(k: Floats, l: Floats) -> float:  # noqa: E741
    """Unbiased estimate from two kernel matrices with zero diagonals (Song et al. 2012, eq. 5)."""
    n = len(k)
    sums = k.sum(axis=0), l.sum(axis=0)
    whole = sums[0].sum() * sums[1].sum() / ((n - 1) * (n - 2))
    mixed = 2.0 * float(sums[0] @ sums[1]) / (n - 2)
    return float((np.sum(k * l) + whole - mixed) / (n * (n - 3)))


def _directions(outputs: Floats, rank: int) -> Floats:
    centred = outputs - outputs.mean(axis=0)
    if rank > min(centred.shape):
        raise ValueError(f"outputs {centred.shape} have no {rank} principal directions")
    directions: Floats = np.linalg.svd(centred, full_matrices=False)[2][:rank]
    return directions
