"""Text helpers: the key under which two transcripts count as the same text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

NEAR = 0.8


def words(text: str, separator: str | None = None) -> list[str]:
    """A word list written as one string."""
    return text.split(separator)


def normalise(text: str) -> str:
    """Lower case, punctuation out, one space between words."""
    folded = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return " ".join(re.sub(r"[^\w']|_", " ", folded).split())


def order_key(seed: str, name: str) -> str:
    """A pseudo-random sort key that depends on `seed` and `name` only."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()


def overlap(a: str, b: str) -> float:
    """Dice coefficient of two word bags, 0 to 1."""
    x, y = Counter(a.split()), Counter(b.split())
    total = x.total() + y.total()
    return 2 * (x & y).total() / total if total else 0.0


def near_groups(texts: Sequence[str]) -> dict[str, str]:
    """Text -> smallest text of its group; texts of 5 words or more with NEAR the same words are grouped."""
    parent = {t: t for t in texts}

    def root(t: str) -> str:
        while parent[t] != t:
            t = parent[t]
        return t

    long = sorted(t for t in parent if len(t.split()) >= 5)
    for i, a in enumerate(long):
        for b in long[i + 1 :]:
            if overlap(a, b) >= NEAR:
                low, high = sorted((root(a), root(b)))
                parent[high] = low
    return {t: root(t) for t in parent}


class Exclusion:
    """Tells which texts are too close to a test text to train on."""

    def __init__(self, test_texts: Collection[str]) -> None:
        self.exact = set(test_texts)
        self.long = [t for t in sorted(test_texts) if len(t.split()) >= 4]

    def hits(self, text: str) -> bool:
        """Equal to a test text, contains one of 4 words or more, or has NEAR the same words."""
        text = normalise(text)
        if text in self.exact:
            return True
        padded = f" {text} "
        length = len(text.split())
        return any(f" {t} " in padded or (length >= 5 and overlap(text, t) >= NEAR) for t in self.long)
