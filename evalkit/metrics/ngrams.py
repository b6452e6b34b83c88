"""N-grams of many captions as integer arrays, so that counting them is sorting instead of hashing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """All n-grams of one order, one entry for every place they stand at.

    owner [m]: the caption; gram [m]: an id; pairs [G]: what the ids stand for, sorted: (id of the first
    n-1 tokens) * len(words) + (id of the last token); for order 1 the token's id itself.
    """

    owner: Ints
    gram: Ints
    pairs: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Captions as n-grams: `orders[n - 1]` are those of order n; words maps a token to its id."""

    words: Mapping[str, int]
    lengths: Ints
    orders: tuple[Grams, ...]


def corpus(captions: Sequence[Sequence[str]], orders: int) -> Corpus:
    """The n-grams of tokenised captions, orders 1 to `orders`."""
    words: dict[str, int] = {}
    flat = [words.setdefault(token, len(words)) for caption in captions for token in caption]
    tokens = np.array(flat, dtype=np.int64)
    lengths = np.array([len(caption) for caption in captions], dtype=np.int64)
    owner = np.repeat(np.arange(len(captions)), lengths)
    found = [Grams(owner, tokens, np.arange(len(words)))]
    for order in range(2, orders + 1):
        starts = np.flatnonzero(owner[: len(owner) - order + 1] == owner[order - 1 :])
        places = _places(found[-1].owner, owner, order - 1)
        prefix = found[-1].gram[places[starts]]
        pairs, gram = np.unique(prefix * len(words) + tokens[starts + order - 1], return_inverse=True)
        found.append(Grams(owner[starts], gram, pairs))
    return Corpus(words, lengths, tuple(found))


def _places(present: Ints, owner: Ints, order: int) -> Ints:
    """For every token the index of the n-gram that starts there; meaningless where none does."""
    has = np.zeros(len(owner), dtype=bool)
    has[: max(len(owner) - order + 1, 0)] = owner[: len(owner) - order + 1] == owner[order - 1 :]
    if has.sum() != len(present):
        raise ValueError("n-grams and tokens do not belong together")
    return np.cumsum(has) - 1


def translated(source: Corpus, target: Corpus) -> list[Ints]:
    """For every order the id in `target` of every n-gram of `source`, -1 where target has none."""
    word = np.array([target.words.get(token, -1) for token in source.words], dtype=np.int64)
    result = [word]
    for grams, known in zip(source.orders[1:], target.orders[1:], strict=True):
        prefix = result[-1][grams.pairs // max(len(source.words), 1)]
        last = word[grams.pairs % max(len(source.words), 1)]
        wanted = np.where((prefix < 0) | (last < 0), -1, prefix * len(target.words) + last)
        result.append(positions(known.pairs, wanted))
    return result


def positions(known: Ints, wanted: Ints) -> Ints:
    """The index of every wanted value in the sorted array `known`, -1 where it is missing."""
    if len(known) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    index = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[index] == wanted, index, -1)
