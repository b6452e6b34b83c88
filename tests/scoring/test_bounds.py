"""Bounds of a value: failed answers all wrong, and all right."""

from __future__ import annotations

import jiwer
import pytest
import sklearn.metrics

from evalkit.model import Response
from evalkit.results.record import JournalEntry, MetricValue
from evalkit.scoring import ScoringSpec, score
from evalkit.tasks.schema import MetricSpec


def entry(number: int, response: Response, reference: str, **more: object) -> JournalEntry:
    return JournalEntry(str(number), "", (reference,), response, **more)  # type: ignore[arg-type]


def values(metric: str, entries: list[JournalEntry], kind: str = "generate_until") -> MetricValue:
    spec = ScoringSpec(kind, (MetricSpec(metric),))  # type: ignore[arg-type]
    (value,) = score(entries, spec, seed=0).metrics.values()
    return value


def test_without_failures_there_are_no_bounds() -> None:
    value = values("accuracy", [entry(1, Response("sad"), "sad"), entry(2, Response("joy"), "sad")])
    assert (value.worst, value.best) == (None, None)


def test_an_error_rate_is_bounded_by_its_failures_dropped_and_transcribed() -> None:
    references = ["one two three", "four five", "six seven eight nine"]
    said = [Response("one two"), Response(error="no sound"), Response("six six six", finish_reason="length")]
    found = values("wer", [entry(i, s, r) for i, (s, r) in enumerate(zip(said, references, strict=True))])
    assert found.worst == pytest.approx(jiwer.wer(references, ["one two", "", ""]))
    assert found.best == pytest.approx(jiwer.wer(references, ["one two", *references[1:]]))
    assert found.best < found.value < found.worst


def test_a_rambling_answer_that_was_cut_off_is_worse_than_none_and_stays_within() -> None:
    rambling = Response("and so on " * 20, finish_reason="length")
    found = values("wer", [entry(1, rambling, "one two"), entry(2, Response("three"), "three")])
    assert found.worst == found.value == pytest.approx(20.0)
    assert found.best == 0.0


def test_recall_and_f1_are_bounded_as_scikit_learn_has_them() -> None:
    references = ["sad", "sad", "joy", "joy", "fear"]
    said = ["sad", None, "joy", "sad", None]
    choices = ("sad", "joy", "fear")
    entries = [
        entry(i, Response(text) if text else Response("sad or joy"), reference, choices=choices)
        for i, (text, reference) in enumerate(zip(said, references, strict=True))
    ]
    right = [text or reference for text, reference in zip(said, references, strict=True)]
    wrong = [text or "" for text in said]
    found = values("uar", entries)
    assert found.best == pytest.approx(sklearn.metrics.balanced_accuracy_score(references, right))
    assert found.value == found.worst
    f1 = values("macro_f1", entries)
    labels = sorted(set(references))
    for bound, answers in ((f1.best, right), (f1.worst, wrong)):
        score = sklearn.metrics.f1_score(references, answers, labels=labels, average="macro")
        assert bound == pytest.approx(score)


def test_a_detector_is_bounded_by_scores_beyond_every_threshold() -> None:
    choices = ("same", "different")

    def weighed(number: int, same: float, reference: str) -> JournalEntry:
        return entry(number, Response(None, (same, 0.0), (1, 1)), reference, choices=choices)

    failed = entry(9, Response(error="no sound"), "same", choices=choices)
    entries = [weighed(1, 2.0, "same"), weighed(2, 1.0, "different"), weighed(3, -1.0, "different"), failed]
    found = values("eer", entries, "multiple_choice")
    assert found.best == values("eer", [*entries[:3], weighed(9, 99.0, "same")], "multiple_choice").value
    assert found.best is not None
    assert found.worst == found.value > found.best


def test_a_caption_that_failed_is_at_best_its_reference() -> None:
    references = ["a dog barks twice", "rain falls on a roof", "a man speaks slowly"]
    entries = [entry(i, Response(text), text) for i, text in enumerate(references[:2])]
    found = values("cider", [*entries, entry(2, Response(error="no sound"), references[2])])
    assert found.best == pytest.approx(10.0)
    assert found.worst == found.value == pytest.approx(20 / 3)
