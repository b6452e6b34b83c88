"""The data cards say what the data is: every number of tasks/DATA.md that can be counted is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
import soundfile

from evalkit.tasks import find_tasks
from recipes.mini.checks import Manifests, audios, manifests
from recipes.mini.rows import REPOSITORY, TEST_DATA, read_jsonl

CARDS = (REPOSITORY / "tasks/DATA.md").read_text(encoding="utf-8")
TASKS = find_tasks()
Row = dict[str, Any]


def table(heading: str) -> list[list[str]]:
    """The cells of the rows below a heading row."""
    lines = CARDS[CARDS.index(heading) :].splitlines()
    rows = lines[2 : next((n for n, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


OVERVIEW = {row[0].strip("`"): row[1:] for row in table("| task | family |")}
TOPICS = {row[0]: row[1:] for row in table("| topic | choices |")}


def section(task: str) -> str:
    """The text of one card, in one line."""
    start = CARDS.index(f"\n## {task}") + 1
    end = CARDS.find("\n## ", start)
    return " ".join(CARDS[start : end if end > 0 else None].split())


def items(task: str) -> list[Row]:
    return read_jsonl(TEST_DATA / task / "test.jsonl")


def task_choices(task: str, row: Row) -> int:
    (found,) = TASKS.resolve(f"mini_{task}")
    listed = found.doc_to_choice
    return len(listed) if isinstance(listed, tuple) else len(row["choices"])


def largest(labels: Iterable[str]) -> tuple[set[str], str]:
    """The most frequent labels, and their share in percent."""
    counted = Counter(labels)
    most = max(counted.values())
    return {label for label, n in counted.items() if n == most}, f"{100 * most / counted.total():.0f} %"


@pytest.fixture(scope="module")
def listed() -> Manifests:
    return manifests()


def test_every_committed_task_has_a_row_and_a_card() -> None:
    committed = {path.parent.name for path in TEST_DATA.glob("*/test.jsonl")}
    assert set(OVERVIEW) == committed
    headings = {
        name.strip() for line in CARDS.splitlines() if line[:3] == "## " for name in line[3:].split(",")
    }
    assert committed == headings


@pytest.mark.parametrize("task", OVERVIEW)
def test_counts_minutes_and_clusters_are_those_of_the_data(task: str) -> None:
    family, count, clips, clusters, *_ = OVERVIEW[task]
    rows = items(task)
    files = {TEST_DATA / task / path for row in rows for path in audios(row)}
    minutes = sum(soundfile.info(path).duration for path in files) / 60
    (found,) = TASKS.resolve(f"mini_{task}")
    assert family == found.meta.family
    assert int(count.split()[0]) == len(rows)
    assert clips == f"{len(files)}, {minutes:.1f}"
    assert int(clusters.split()[0]) == len({row[found.meta.cluster] for row in rows})


@pytest.mark.parametrize("task", [task for task, row in OVERVIEW.items() if row[4] != "-"])
def test_chance_and_the_largest_class_are_those_of_the_data(task: str) -> None:
    *_, chance, most = OVERVIEW[task]
    rows = items(task)
    mean = 100 * sum(1 / task_choices(task, row) for row in rows) / len(rows)
    assert float(chance.split()[0]) == pytest.approx(mean, abs=0.05)
    if most not in ("-", "by topic below"):
        labels, share = largest(row["label"] for row in rows)
        assert most.endswith(share)
        assert most.removesuffix(share).strip() in labels


@pytest.mark.parametrize("topic", TOPICS)
def test_the_topics_of_music_are_counted(topic: str) -> None:
    _, count, chance, most, majority = TOPICS[topic]
    rows = [row for row in items("music_qa") if row["topic"] == topic]
    labels, share = largest(row["label"] for row in rows)
    assert int(count.split()[0]) == len(rows)
    assert chance == f"{100 / len(rows[0]['choices']):.0f} %"
    assert most.endswith(share)
    assert most.removesuffix(share).strip() in labels
    (task,) = TASKS.resolve("mini_music_qa")
    assert f"'{topic}': '{majority}'" in task.meta.majority
    if "(" in count:
        parts = sorted(map(int, count.split("(")[1].strip(")").split(",")))
        assert parts == sorted(Counter(row["label"] for row in rows).values())


def test_the_majority_that_a_task_names_is_that_of_its_training_split(listed: Manifests) -> None:
    for name in ("emotion_acted", "vocal_expression", "language_id"):
        (task,) = TASKS.resolve(f"mini_{name}")
        assert task.meta.majority in largest(row["label"] for row in listed[name, "train"])[0]
    (music,) = TASKS.resolve("mini_music_qa")
    for topic, row in TOPICS.items():
        assert row[-1] in largest(r[topic] for r in listed["music_qa", "train"] if r.get(topic))[0]
    assert music.meta.majority


def test_the_captions_are_counted(listed: Manifests) -> None:
    rows, card = listed["captions", "test"], section("captions")
    kinds = Counter(row["kind"] for row in rows)
    takes = {take for row in rows for take in row["group"].split("+")}
    heard = {source["sha256"]: source["package"] for row in rows for source in row["sources"]}
    classes = {label for row in rows for label in row["labels"]}
    assert f"in {len(classes)} classes" in card
    assert f"{kinds['single']} test clips are single events" in card
    assert f"{kinds['overlap']} overlap two events and {kinds['sequence']} play one after the other" in card
    assert f"{len(heard)} recordings in {len(takes)} take groups" in card
    top, count = Counter(heard.values()).most_common(1)[0]
    assert (top, f"({count} of the {len(heard)} recordings)" in card) == ("0ad-data", True)
    assert {len(row["captions"]) for row in items("captions")} == {5}


def test_the_emotions_are_counted(listed: Manifests) -> None:
    test, train = listed["emotion_acted", "test"], listed["emotion_acted", "train"]
    card = section("emotion_acted")
    voices, phrases = ({row[field] for row in test} for field in ("group", "phrase"))
    assert f"Test: {len(voices)} voices x {len(phrases)} phrases" in card
    others, theirs = ({row[field] for row in train} for field in ("group", "phrase"))
    assert f"training: {len(others)} other voices x {len(theirs)} other phrases ({len(train)} clips)" in card
    classes = Counter(row["label"] for row in test).most_common()
    assert f"Classes: {', '.join(f'{label} {n}' for label, n in classes)}." in card
    foreign = {row["group"] for row in test if row["language"] != "en"}
    assert len(foreign) == 2
    vocal = Counter(row["label"] for row in listed["vocal_expression", "train"])
    rest = [n for label, n in vocal.items() if label not in ("dying cry", "cry of pain")]
    assert (
        f"{vocal['dying cry']} dying cries, {vocal['cry of pain']} cries of pain, {min(rest)} to {max(rest)} "
        "of each other class"
    ) in section("vocal_expression")


def test_the_training_speech_is_counted(listed: Manifests) -> None:
    stamps = [len(listed[f"asr_{language}", "train"]) for language in ("es", "fr", "ru")]
    assert "{} Spanish, {} French, {} Russian clips".format(*stamps) in section("asr_es")
    assert listed["asr_it", "train"] == []
    english = section("asr_en")
    assert f"Training: {len(listed['asr_en', 'train'])} other prompts" in english
    assert f"{len(listed['speech_stamps', 'train'])} spoken stamp descriptions" in english


def test_the_voices_of_the_speaker_tasks_are_counted(listed: Manifests) -> None:
    gender, packs = listed["gender", "test"], {row["group"] for row in listed["same_voice", "test"]}
    soldiers = [row for row in gender if row["package"] == "0ad-data"]
    assert f"two peoples of 0 A.D. ({len(soldiers)} clips" in section("gender")
    card = section("same_voice")
    names = ", ".join(sorted(pack.removeprefix("hw_") for pack in packs))
    assert f"{len(packs)} packs in the test ({names})" in card
    assert f"{len({row['group'] for row in listed['same_voice', 'train']})} others in training" in card
    real = Counter(row["package"] for row in listed["music_real", "test"])
    counts = f"({real['gcompris-qt-data']} of GCompris"
    assert counts in section("music_real")


def test_the_table_itself_is_read() -> None:
    assert len(OVERVIEW) == 13
    assert len(TOPICS) == 5
