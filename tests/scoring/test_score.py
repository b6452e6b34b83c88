"""Scoring a journal: values, intervals, clusters, failures, fingerprints."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jiwer
import pytest
import scipy.stats

from evalkit.model import Response
from evalkit.results.record import JournalEntry
from evalkit.scoring import ScoringSpec, score
from evalkit.tasks.schema import FilterSpec, MetricSpec, Task

ASR = ScoringSpec("generate_until", (MetricSpec("wer", {"normalizer": "basic"}), MetricSpec("cer")))
EMOTION = ScoringSpec("generate_until", (MetricSpec("accuracy"), MetricSpec("macro_f1"), MetricSpec("uar")))


def entry(number: int, text: str | None, reference: str, **more: object) -> JournalEntry:
    response = Response(text=text, error=None if text is not None else "clip is empty")
    return JournalEntry(str(number), "", (reference,), response, **more)  # type: ignore[arg-type]


def transcripts(n: int) -> list[JournalEntry]:
    rng = random.Random(0)
    lines = []
    for number in range(n):
        reference = " ".join(rng.choices(["one", "two", "three", "four", "five"], k=rng.randint(2, 9)))
        text = " ".join(word for word in reference.split() if rng.random() < 0.9)
        lines.append(entry(number, text, reference))
    return lines


def test_wer_of_a_journal_is_jiwers() -> None:
    lines = transcripts(80)
    found = score(lines, ASR, seed=0).metrics["wer,none"]
    texts = [line.response.text or "" for line in lines]
    assert found.value == pytest.approx(jiwer.wer([line.references[0] for line in lines], texts))
    assert found.low < found.value < found.high
    assert (found.method, found.clusters, found.higher_is_better) == ("percentile bootstrap", 0, False)


def test_accuracy_of_single_samples_has_wilsons_interval() -> None:
    lines = [entry(i, "sad" if i < 30 else "happy", "sad") for i in range(40)]
    found = score(lines, EMOTION, seed=0).metrics["accuracy,none"]
    expected = scipy.stats.binomtest(30, 40).proportion_ci(method="wilson")
    assert (found.value, found.method) == (0.75, "wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_clusters_of_the_journal_are_resampled_together() -> None:
    lines = [entry(i, "sad" if i % 7 else "happy", "sad", cluster=f"voice {i % 12}") for i in range(60)]
    found = score(lines, EMOTION, seed=0).metrics
    assert {value.clusters for value in found.values()} == {12}
    assert {value.method for value in found.values()} == {"percentile bootstrap"}


def test_repeats_of_a_sample_are_a_cluster() -> None:
    lines = [entry(i // 3, "sad" if i % 4 else "happy", "sad", repeat=i % 3) for i in range(60)]
    assert score(lines, EMOTION, seed=0).metrics["accuracy,none"].clusters == 20


def test_a_cluster_and_a_sample_of_one_name_are_two() -> None:
    lines = [entry(1, "sad", "sad", cluster="2"), entry(2, "happy", "sad")]
    assert score(lines, EMOTION, seed=0).metrics["accuracy,none"].clusters == 2


def test_a_failure_is_wrong_and_counted_never_dropped() -> None:
    whole = score([entry(1, "a b", "a b"), entry(2, None, "c d")], ASR, seed=0)
    assert whole.metrics["wer,none"].value == 0.5
    assert whole.counts == {"ok": 1, "empty": 0, "truncated": 0, "unparsed": 0, "error": 1}
    assert len(whole.predictions) == 2
    assert (
        score([entry(1, "sad", "sad"), entry(2, None, "sad")], EMOTION, seed=0).metrics["accuracy,none"].value
        == 0.5
    )


def test_an_answer_that_is_no_choice_is_wrong() -> None:
    choices = ("happy", "sad")
    lines = [entry(1, "sad", "sad", choices=choices), entry(2, "sad or happy", "sad", choices=choices)]
    scored = score(lines, EMOTION, seed=0)
    assert scored.metrics["accuracy,none"].value == 0.5
    assert scored.counts["unparsed"] == 1


def test_every_filter_chain_is_scored_under_its_name() -> None:
    last = FilterSpec("last", (("regex", {"regex_pattern": r"\w+", "group_select": -1}),))
    plain = FilterSpec("none", ())
    spec = ScoringSpec("generate_until", (MetricSpec("accuracy"),), (plain, last))
    found = score([entry(1, "hm, sad", "sad"), entry(2, "sad", "sad")], spec, seed=0).metrics
    assert {key: value.value for key, value in found.items()} == {"accuracy,none": 0.5, "accuracy,last": 1.0}


def test_take_first_scores_the_first_repeat_only() -> None:
    first = FilterSpec("first", (("take_first", {}),))
    spec = ScoringSpec("generate_until", (MetricSpec("accuracy"),), (first,))
    lines = [entry(1, "sad", "sad"), entry(1, "happy", "sad", repeat=1)]
    scored = score(lines, spec, seed=0)
    assert scored.metrics["accuracy,first"].value == 1
    assert len(scored.predictions) == 1


def test_the_order_of_the_journal_changes_nothing() -> None:
    lines = transcripts(60)
    shuffled = random.Random(1).sample(lines, len(lines))
    assert score(lines, ASR, seed=3).metrics == score(shuffled, ASR, seed=3).metrics


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        score([], ASR, seed=0)


def test_a_sample_scored_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'1' .* twice"):
        score([entry(1, "a", "a"), entry(1, "a", "a")], ASR, seed=0)


def test_a_spec_survives_its_json() -> None:
    chain = FilterSpec("last", (("regex", {"regex_pattern": r"(\d+)", "group_select": -1}),))
    spec = ScoringSpec("generate_until", (MetricSpec("uar", {"labels": ["a", "b"]}),), (chain,))
    again = ScoringSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


def test_the_fingerprint_knows_meaning_not_spelling() -> None:
    def spec(**options: object) -> ScoringSpec:
        return ScoringSpec("generate_until", (MetricSpec("wer", options),))

    assert spec().fingerprint() == spec(normalizer="none").fingerprint()
    assert spec().fingerprint() != spec(normalizer="basic").fingerprint()
    assert spec().fingerprint() != ScoringSpec("multiple_choice", (MetricSpec("wer"),)).fingerprint()


@pytest.mark.parametrize(
    ("metrics", "steps", "message"),
    [
        ((), (), "no metric given"),
        ((MetricSpec("accurcy"),), (), "did you mean 'accuracy'"),
        ((MetricSpec("wer"), MetricSpec("wer", {"normalizer": "basic"})), (), "metric wer is listed twice"),
        ((MetricSpec("wer"),), (("regexp", {}),), "did you mean 'regex'"),
        ((MetricSpec("wer"),), (("regex", {}),), "needs a regex_pattern"),
        ((MetricSpec("wer"),), (("regex", {"regex_pattern": "("}),), "not valid"),
        ((MetricSpec("wer"),), (("regex", {"regex_pattern": "a", "groups": 1}),), "option of regex 'groups'"),
        ((MetricSpec("wer"),), (("map", {"mapping_dict": {"a": 1}}),), "texts to texts"),
        ((MetricSpec("wer"),), (("normalize_length", {}),), "needs output_type multiple_choice"),
    ],
)
def test_a_task_that_cannot_be_scored_is_refused_by_name(
    metrics: tuple[MetricSpec, ...], steps: tuple[tuple[str, dict[str, object]], ...], message: str
) -> None:
    task = Task(
        name="mine",
        path=Path("mine.yaml"),
        dataset_path="data",
        doc_to_text="",
        doc_to_target="text",
        metrics=metrics,
        filters=(FilterSpec("chain", steps),),
    )
    with pytest.raises(ValueError, match=f"task mine: .*{message}"):
        ScoringSpec.from_task(task)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"output_type": "generate_until"}, "not complete"),
        ({"output_type": "loglikelihood"}, "no such output_type"),
        ({"metric": []}, "did you mean 'metrics'"),
    ],
)
def test_a_foreign_scoring_record_is_refused(record: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoringSpec.from_dict(record)
