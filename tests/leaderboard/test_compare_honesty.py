"""A/A: two arms that differ by chance alone are called different about one time in twenty, and no more.

Answers are drawn anew for both arms from the same distribution, so the null hypothesis holds and samples
are independent; with clusters, a whole cluster is easier or harder for both. A planted difference is found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from evalkit.leaderboard.comparison import compare_journals
from evalkit.model import Response
from evalkit.results import JournalEntry
from evalkit.scoring import ScoringSpec
from evalkit.tasks.schema import MetricSpec

PAIRS = 200
N = 80
LABELS = ("anger", "joy", "fear", "pain")
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "while",
    "small",
    "red",
    "bird",
    "sings",
)

Draw = Callable[[np.random.Generator, int, float], tuple[str, str]]


def spoken(rng: np.random.Generator, index: int, skill: float) -> tuple[str, str]:
    """A sentence, and it with words replaced now and then."""
    words = [WORDS[(index * 7 + place) % len(WORDS)] for place in range(5 + index % 4)]
    return " ".join(words), " ".join(word if rng.random() < skill else "um" for word in words)


def felt(rng: np.random.Generator, index: int, skill: float) -> tuple[str, str]:
    label = LABELS[index % 7 % 4]
    return label, label if rng.random() < skill else str(rng.choice(LABELS))


DRAWS: dict[str, Draw] = {"wer": spoken, "cider": spoken, "accuracy": felt, "uar": felt}


def journal(
    metric: str, rng: np.random.Generator, skill: float, ease: np.ndarray | None
) -> list[JournalEntry]:
    entries = []
    for index in range(N):
        cluster = "" if ease is None else f"c{index % len(ease)}"
        here = skill if ease is None else float(np.clip(skill + ease[index % len(ease)], 0, 1))
        reference, answer = DRAWS[metric](rng, index, here)
        entries.append(
            JournalEntry(
                f"{index}", "f" * 64, (reference,), Response(text=answer), cluster=cluster, index=index
            )
        )
    return entries


def p_values(metric: str, skills: tuple[float, float], *, clustered: bool, pairs: int) -> np.ndarray:
    spec = ScoringSpec("generate_until", (MetricSpec(metric),))
    found = []
    for pair in range(pairs):
        rng = np.random.default_rng([pair, len(metric)])
        ease = rng.normal(0, 0.15, 20) if clustered else None
        one, other = (journal(metric, rng, skill, ease) for skill in skills)
        [difference], _ = compare_journals([one], [other], spec, seed=pair)
        found.append(difference.p)
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True], ids=["samples", "clusters"])
@pytest.mark.parametrize("metric", ["wer", "accuracy", "uar", "cider"])
def test_different_is_said_of_equal_models_one_time_in_twenty(metric: str, clustered: bool) -> None:
    p = p_values(metric, (0.7, 0.7), clustered=clustered, pairs=PAIRS)
    said = int((p < 0.05).sum())
    # Exact McNemar is conservative by its nature; nothing may be said too often.
    low = 0.0 if metric == "accuracy" and not clustered else scipy.stats.binom.ppf(0.001, PAIRS, 0.05)
    assert low <= said <= scipy.stats.binom.ppf(0.999, PAIRS, 0.05), f"{said} of {PAIRS}"


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["wer", "accuracy", "uar", "cider"])
def test_a_planted_difference_is_found(metric: str) -> None:
    p = p_values(metric, (0.9, 0.5), clustered=False, pairs=20)
    assert (p < 0.05).mean() >= 0.9


def test_labels_of_the_arms_swapped_at_random_show_nothing_either() -> None:
    """The same two journals with the arms' names exchanged sample by sample: p is what the exchange gives."""
    rng = np.random.default_rng(0)
    one, other = (journal("wer", rng, 0.7, None) for _ in range(2))
    spec = ScoringSpec("generate_until", (MetricSpec("wer"),))
    found = []
    for _ in range(12):
        swap = rng.random(N) < 0.5
        pairs = [(b, a) if flip else (a, b) for a, b, flip in zip(one, other, swap, strict=True)]
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        [difference], _ = compare_journals([first], [second], spec, seed=1)
        found.append(difference.p)
    assert sum(p < 0.05 for p in found) <= 3
    assert max(found) > 0.3
