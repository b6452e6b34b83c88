"""Accuracy, macro-F1 and UAR: parity with scikit-learn, missing and foreign answers, resampling."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from evalkit import metrics
from evalkit.metrics.protocol import Answers, References

CLASSES = ("angry", "happy", "neutral", "sad")


def value(name: str, references: References, answers: Answers, **options: object) -> float:
    scorer = metrics.get(name, options).fit(references)
    statistics = scorer.statistics(references, answers)
    return float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])


def labelled(seed: int, n: int = 300) -> tuple[list[str], list[str | None]]:
    """Skewed references; answers right, wrong, foreign ("bored") or missing."""
    rng = np.random.default_rng(seed)
    references = rng.choice(CLASSES, size=n, p=[0.6, 0.25, 0.1, 0.05])
    other = rng.choice([*CLASSES, "bored", ""], size=n)
    answers = np.where(rng.random(n) < 0.5, references, other)
    return references.tolist(), [answer or None for answer in answers.tolist()]


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_scikit_learn(seed: int) -> None:
    references, answers = labelled(seed)
    accepted, said = [(label,) for label in references], [answer or "(none)" for answer in answers]
    present = sorted(set(references))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(references, said, average="macro", labels=present)
        recall = recall_score(references, said, average="macro", labels=present)
    assert value("macro_f1", accepted, answers) == pytest.approx(f1, abs=1e-12)
    assert value("uar", accepted, answers) == pytest.approx(recall, abs=1e-12)
    assert value("accuracy", accepted, answers) == pytest.approx(accuracy_score(references, said), abs=1e-12)


@pytest.mark.parametrize("name", ["macro_f1", "uar", "accuracy"])
def test_weights_equal_scoring_the_repeated_samples_anew(name: str) -> None:
    references, answers = labelled(7, n=40)
    accepted = [(label,) for label in references]
    scorer = metrics.get(name, {}).fit(accepted)
    statistics = scorer.statistics(accepted, answers)
    rng = np.random.default_rng(1)
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=30).astype(float)
    reduced = scorer.reduce(statistics, weights)
    for drawn, found in zip(weights, reduced, strict=True):
        chosen = np.repeat(np.arange(40), drawn.astype(int))
        anew = value(name, [accepted[i] for i in chosen], [answers[i] for i in chosen])
        assert found == pytest.approx(anew)


def test_labels_are_compared_without_case_and_punctuation() -> None:
    for name in ("accuracy", "macro_f1", "uar"):
        assert value(name, [("Happy",), ("very sad",)], ["happy!", " Very  SAD. "]) == 1
    assert value("exact_match", [("Happy",)], ["happy"]) == 0


def test_several_references_are_spellings_of_the_first() -> None:
    references = [("happy", "joyful"), ("sad",)]
    for name in ("accuracy", "macro_f1", "uar"):
        assert value(name, references, ["joyful", "sad"]) == 1


def test_a_missing_answer_is_wrong() -> None:
    assert value("accuracy", [("a",), ("b",)], [None, "b"]) == 0.5
    assert value("uar", [("a",), ("b",)], [None, "b"]) == 0.5
    assert value("macro_f1", [("a",), ("b",)], [None, "b"]) == 0.5


def test_given_labels_refuse_a_reference_outside_them() -> None:
    with pytest.raises(ValueError, match="'bored' is none of the labels"):
        value("macro_f1", [("bored",)], ["happy"], labels=["happy", "sad"])


def test_a_class_without_references_takes_no_part() -> None:
    assert value("macro_f1", [("happy",)], ["happy"], labels=["happy", "sad"]) == 1


def test_labels_of_punctuation_alone_are_not_all_equal() -> None:
    assert value("accuracy", [("?",), ("!",)], ["!", "!"]) == 0.5


def test_labels_that_a_normalizer_merges_are_refused() -> None:
    with pytest.raises(ValueError, match="two of the labels equal"):
        value("uar", [("Happy",)], ["Happy"], labels=["Happy", "happy"])
