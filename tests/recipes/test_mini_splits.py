"""The mini data keeps its promises: nothing of the test is in the training data, and every clip is sound."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest

from recipes.mini import checks
from recipes.mini.rows import TEST_DATA, read_jsonl


@pytest.fixture(scope="module")
def rows() -> checks.Manifests:
    return checks.manifests()


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_holds(check: Callable[[checks.Manifests], Iterator[str]], rows: checks.Manifests) -> None:
    assert list(check(rows)) == []


@pytest.mark.parametrize("task", ["vocal_expression", "emotion_acted"])
def test_no_recording_is_committed_twice(task: str) -> None:
    assert list(checks.recordings_differ(TEST_DATA / task)) == []


LEAST = {
    "asr_en": 160,
    "asr_es": 60,
    "asr_fr": 60,
    "asr_it": 60,
    "asr_ru": 60,
    "vocal_expression": 150,
    "emotion_acted": 150,
    "captions": 200,
    "music_qa": 300,
    "music_real": 26,
    "language_id": 100,
    "gender": 100,
    "same_voice": 150,
}


@pytest.mark.parametrize("task", LEAST)
def test_enough_test_items(task: str) -> None:
    assert len(read_jsonl(TEST_DATA / task / "test.jsonl")) >= LEAST[task]


def test_every_question_offers_its_answer() -> None:
    for task in ("music_qa", "music_real"):
        for row in read_jsonl(TEST_DATA / task / "test.jsonl"):
            assert row["label"] in row["choices"] and len(set(row["choices"])) == len(row["choices"]), row[
                "id"
            ]


def test_pairs_of_voices_are_what_they_say() -> None:
    for row in read_jsonl(TEST_DATA / "same_voice" / "test.jsonl"):
        first, second = (path.split("-")[1] for path in row["audio"])
        assert (first == second) == (row["label"] == "same"), row["id"]


def test_mixtures_join_one_licence(rows: checks.Manifests) -> None:
    for row in rows["captions", "test"] + rows["captions", "train"]:
        assert {source["license"] for source in row["sources"]} == {row["license"]}, row["id"]


def test_no_class_swamps_the_vocal_expressions(rows: checks.Manifests) -> None:
    labels = [r["label"] for r in rows["vocal_expression", "test"]]
    assert max(labels.count(x) for x in set(labels)) <= 0.36 * len(labels)


def test_a_leak_is_found(rows: checks.Manifests) -> None:
    leaky = copy.deepcopy(rows)
    leaky["asr_en", "train"].append({**leaky["asr_en", "test"][0], "id": "leak"})
    leaky["emotion_acted", "train"].append({**leaky["emotion_acted", "test"][0], "id": "leak"})
    for check in (
        checks.unique_ids,
        checks.voices_apart,
        checks.phrases_apart,
        checks.texts_apart,
        checks.sources_apart,
    ):
        assert list(check(leaky)), check.__name__


def test_committed_audio_stays_small() -> None:
    assert sum(p.stat().st_size for p in TEST_DATA.rglob("*") if p.is_file()) < 15 * 2**20
