"""Equal error rate: parity with the ROC curve of scikit-learn, missing scores, scores from log-likelihoods."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from evalkit.metrics.eer import eer
from evalkit.model import Response
from evalkit.results.record import JournalEntry, Prediction
from evalkit.scoring import ScoringSpec, score
from evalkit.tasks.schema import MetricSpec


def value(labels: list[str], answers: list[str | None]) -> float:
    references = [(label,) for label in labels]
    scorer = eer({}).fit(references)
    return float(scorer.reduce(scorer.statistics(references, answers), np.ones((1, len(labels))))[0])


@pytest.mark.parametrize("decimals", [6, 1])
@pytest.mark.parametrize("seed", range(4))
def test_the_rate_is_that_of_the_roc_curve(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    same = rng.random(200) < 0.3
    scores = np.round(rng.normal(size=200) + 1.2 * same, decimals)
    alarms, hits, _ = roc_curve(same, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - np.interp(x, alarms, hits), 0, 1)
    found = value(["same" if s else "different" for s in same], [str(x) for x in scores])
    assert 0.1 < found < 0.45
    assert found == pytest.approx(expected, abs=1e-9)


def test_perfect_useless_and_reversed_scores() -> None:
    labels = ["same", "same", "different", "different"]
    assert value(labels, ["3", "2", "1", "0"]) == 0
    assert value(labels, ["1", "1", "1", "1"]) == 0.5
    assert value(labels, ["0", "1", "2", "3"]) == 1


def test_weights_equal_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    labels = ["same" if flag else "different" for flag in rng.random(30) < 0.5]
    answers = [str(x) for x in rng.normal(size=30)]
    references = [(label,) for label in labels]
    scorer = eer({}).fit(references)
    statistics = scorer.statistics(references, answers)
    weights = rng.multinomial(30, np.full(30, 1 / 30), size=20)
    for drawn, found in zip(weights, scorer.reduce(statistics, weights.astype(float)), strict=True):
        chosen = np.repeat(np.arange(30), drawn)
        assert found == pytest.approx(value([labels[i] for i in chosen], [answers[i] for i in chosen]))


def test_a_resample_of_one_kind_has_no_value() -> None:
    references = [("same",), ("different",)]
    scorer = eer({}).fit(references)
    statistics = scorer.statistics(references, ["1", "0"])
    found = scorer.reduce(statistics, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]]))
    assert found[0] == 0
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("answer", [None, "", "high", "nan", "inf"])
def test_what_is_no_score_is_wrong_at_every_threshold(answer: str | None) -> None:
    labels = ["same", "same", "different", "different"]
    assert value(labels, [answer, "2", "1", "0"]) == value(labels, ["-99", "2", "1", "0"])
    assert value(labels, ["3", "2", answer, "0"]) == value(labels, ["3", "2", "99", "0"])


def test_log_likelihoods_of_choices_become_log_odds() -> None:
    response = Response(choice_logprobs=(-1.0, -3.0, -2.0), finish_reason="choices")
    entry = JournalEntry("1", "", ("same",), response, ("different", "Same", "unsure"))
    answer = eer({}).answer(Prediction(entry, "different", "ok"))
    assert float(answer or "") == pytest.approx(-3.0 - math.log(math.exp(-1) + math.exp(-2)))


def test_a_journal_of_weighed_choices_has_an_accuracy_and_an_eer() -> None:
    choices = ("same", "different")
    lines = []
    for number in range(40):
        lead = 1.0 if number % 4 else -1.0
        logprobs = (lead, 0.0) if number < 20 else (0.0, lead)
        response = Response(choice_logprobs=logprobs, finish_reason="choices")
        lines.append(JournalEntry(str(number), "", (choices[number >= 20],), response, choices))
    spec = ScoringSpec("multiple_choice", (MetricSpec("accuracy"), MetricSpec("eer")))
    found = score(lines, spec, seed=0).metrics
    assert found["accuracy,none"].value == pytest.approx(0.75)
    assert found["eer,none"].value == pytest.approx(0.25)
    assert found["eer,none"].low < 0.25 < found["eer,none"].high


def test_references_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="no reference is the positive label 'same'"):
        eer({}).fit([("different",)])
    with pytest.raises(ValueError, match="no reference differs from"):
        eer({}).fit([("same",)])
