"""WER and CER: parity with jiwer, several references, missing answers, empty references."""

from __future__ import annotations

import random

import jiwer
import numpy as np
import pytest

from evalkit import metrics
from evalkit.metrics.protocol import Answers, References

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    "and",
    "ran",
    "away",
    "from",
    "it",
    "Zürich",
    "一二",
    "naïve",
]


def value(name: str, references: References, answers: Answers, **options: str) -> float:
    scorer = metrics.get(name, options).fit(references)
    statistics = scorer.statistics(references, answers)
    return float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])


def sentence(rng: random.Random, least: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(least, 12)))


def test_wer_and_cer_equal_jiwer_on_a_thousand_pairs() -> None:
    rng = random.Random(0)
    references = [sentence(rng, 1) for _ in range(1000)]
    answers = [
        sentence(rng, 0) if rng.random() < 0.5 else " ".join(w for w in text.split() if rng.random() < 0.8)
        for text in references
    ]
    accepted = [(text,) for text in references]
    assert value("wer", accepted, answers) == pytest.approx(jiwer.wer(references, answers), abs=1e-15)
    assert value("cer", accepted, answers) == pytest.approx(jiwer.cer(references, answers), abs=1e-15)


def test_rates_are_of_the_whole_corpus_not_means_of_samples() -> None:
    assert value("wer", [("a",), ("a b c d e f g h i",)], ["x", "a b c d e f g h i"]) == pytest.approx(0.1)


def test_the_normalizer_is_applied_to_both_sides() -> None:
    references, answers = [("He paid twenty dollars.",)], ["he paid $20"]
    assert value("wer", references, answers, normalizer="whisper_en") == 0
    assert value("wer", references, answers) > 0.5


def test_the_best_of_several_references_counts() -> None:
    scorer = metrics.get("wer", {}).fit([])
    rows = scorer.statistics([("a b c d", "x y"), ("a b", "a b c d e f")], ["x z", "a b c d e"])
    assert rows.tolist() == [[1, 2], [1, 6]]


def test_no_answer_deletes_every_reference_word() -> None:
    assert value("wer", [("a b c",), ("d",)], [None, "d"]) == pytest.approx(0.75)
    assert value("wer", [("a b c",), ("d",)], ["", "d"]) == pytest.approx(0.75)


def test_words_said_into_silence_are_insertions() -> None:
    assert value("wer", [("",), ("a b",)], ["hello", "a b"]) == pytest.approx(0.5)


def test_silence_heard_as_silence_is_right_but_a_failure_is_not() -> None:
    assert value("wer", [("",), ("a b",)], ["", "a b"]) == 0
    assert value("wer", [("",), ("a b",)], [None, "a b"]) == pytest.approx(0.5)


@pytest.mark.parametrize("answer", ["", "a b"])
def test_without_reference_words_the_value_is_the_number_of_errors_as_in_jiwer(answer: str) -> None:
    assert value("wer", [("",)], [answer]) == jiwer.wer("", answer)


def test_cer_counts_characters_of_unspaced_scripts() -> None:
    assert value("cer", [("今天天气很好",)], ["今天天汽很好"]) == pytest.approx(1 / 6)


def test_a_sample_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="no reference"):
        value("wer", [()], ["a"])


def test_answers_and_references_must_be_of_one_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        value("wer", [("a",)], ["a", "b"])


def test_weights_repeat_samples() -> None:
    references, answers = [("a b",), ("c d e",)], ["a x", "c d e"]
    scorer = metrics.get("wer", {}).fit(references)
    statistics = scorer.statistics(references, answers)
    weighted = scorer.reduce(statistics, np.array([[2.0, 1.0], [0.0, 3.0]]))
    assert weighted == pytest.approx([2 / 7, 0.0])
