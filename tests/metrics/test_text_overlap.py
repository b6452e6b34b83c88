"""BLEU and ROUGE-L: parity with sacrebleu's corpus score and rouge-score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from evalkit import metrics
from evalkit.metrics.protocol import Answers, References

GOLDEN = json.loads((Path(__file__).parent / "goldens/captions.json").read_text("utf-8"))
SAMPLES = [sample for sample in GOLDEN["samples"] if len(sample["references"]) == 5]
REFERENCES = [sample["references"] for sample in SAMPLES]
ANSWERS = [sample["answer"] for sample in SAMPLES]


def value(name: str, references: References, answers: Answers, **options: object) -> float:
    scorer = metrics.get(name, options).fit(references)
    statistics = scorer.statistics(references, answers)
    return float(scorer.reduce(statistics, np.ones((1, len(statistics))))[0])


@pytest.mark.parametrize(("tokenize", "lowercase"), [("13a", False), ("13a", True), ("char", False)])
def test_bleu_equals_sacrebleu(tokenize: str, lowercase: bool) -> None:
    expected = sacrebleu.corpus_bleu(
        ANSWERS, list(zip(*REFERENCES, strict=True)), tokenize=tokenize, lowercase=lowercase
    ).score
    found = value("bleu", REFERENCES, ANSWERS, tokenize=tokenize, lowercase=lowercase)
    assert 5 < found < 95
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("a dog barks", "a dog barks in the yard"),
        ("a dog is barking in a yard", "a dog barks in the yard"),
        ("dog a yard the", "a dog barks in the yard"),
        ("yes", "a dog barks in the yard"),
        ("one two three four", "a dog barks in the yard"),
        ("a dog", "a dog"),
        ("", "a dog"),
        ("a dog barks in the yard and runs", "a dog barks"),
    ],
)
def test_short_and_unmatched_answers_are_smoothed_as_in_sacrebleu(answer: str, reference: str) -> None:
    expected = sacrebleu.corpus_bleu([answer], [[reference]]).score
    assert value("bleu", [[reference]], [answer]) == pytest.approx(expected)


def test_rouge_l_equals_rouge_score() -> None:
    scorer = RougeScorer(["rougeL"])
    best = [
        max(scorer.score(text, answer)["rougeL"].fmeasure for text in texts)
        for texts, answer in zip(REFERENCES, ANSWERS, strict=True)
    ]
    assert value("rouge_l", REFERENCES, ANSWERS) == pytest.approx(np.mean(best))


@pytest.mark.parametrize("name", ["bleu", "rouge_l"])
def test_no_answer_is_an_empty_answer(name: str) -> None:
    references = [["a dog barks in the yard"], ["the rain falls on a roof"]]
    half = value(name, references, ["a dog barks in the yard", None])
    assert half == value(name, references, ["a dog barks in the yard", ""])
    assert half < value(name, references, ["a dog barks in the yard", "the rain falls on a roof"])
    assert value(name, references, [None, None]) == 0


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bleu", {"tokenize": "13b"}, "did you mean '13a'"),
        ("bleu", {"lowercase": "yes"}, "true or false"),
        ("rouge_l", {"stemmer": 1}, "true or false"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.get(name, options)


@pytest.mark.parametrize("name", ["bleu", "rouge_l"])
def test_a_sample_without_references_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no reference"):
        value(name, [[]], ["a"])
