"""What must hold between the manifests and the committed clips. `python -m recipes.mini.checks`."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from recipes.mini.audio import RATE
from recipes.mini.near import same_pairs
from recipes.mini.rows import MANIFESTS, TEST_DATA, read_jsonl
from recipes.mini.text import Exclusion, normalise

Row = dict[str, Any]
Manifests = dict[tuple[str, str], list[Row]]
# Tasks whose groups are voices or characters, which are held out of every task together.
BY_VOICE = ("vocal_expression", "emotion_acted", "language_id", "gender", "same_voice")


def manifests() -> Manifests:
    """Rows by (task, split) of every committed manifest."""
    found = {}
    for path in sorted(MANIFESTS.glob("*.jsonl")):
        task, split = path.stem.rsplit(".", 1)
        found[task, split] = read_jsonl(path)
    return found


def _pick(all_rows: Manifests, split: str, tasks: tuple[str, ...] | None = None) -> list[Row]:
    return [
        row
        for (task, s), rows in all_rows.items()
        if s == split and (tasks is None or task in tasks)
        for row in rows
    ]


def unique_ids(all_rows: Manifests) -> Iterator[str]:
    """Every id once over all tasks and splits."""
    seen: set[str] = set()
    for (task, split), rows in all_rows.items():
        for row in rows:
            if row["id"] in seen:
                yield f"{task}.{split}: the id {row['id']} is used twice"
            seen.add(row["id"])


def voices_apart(all_rows: Manifests) -> Iterator[str]:
    """No voice or character in the test of one task and the training of any."""
    shared = {r["group"] for r in _pick(all_rows, "test", BY_VOICE)}
    shared &= {r["group"] for r in _pick(all_rows, "train")}
    yield from (f"the voice {group} is in test and in training" for group in sorted(shared))


def phrases_apart(all_rows: Manifests) -> Iterator[str]:
    """No phrase of the acted-emotion test in its training."""
    test, train = ({r["phrase"] for r in all_rows["emotion_acted", s]} for s in ("test", "train"))
    yield from (f"the phrase {phrase} is in test and in training" for phrase in sorted(test & train))


def texts_apart(all_rows: Manifests) -> Iterator[str]:
    """No test transcript in a training transcript of the same language."""
    held: dict[str, set[str]] = defaultdict(set)
    for row in _pick(all_rows, "test"):
        if "text" in row:
            held[row["language"]].add(normalise(row["text"]))
    exclusions = {language: Exclusion(texts) for language, texts in held.items()}
    for row in _pick(all_rows, "train"):
        exclusion = exclusions.get(row.get("language", ""))
        if "text" in row and exclusion and exclusion.hits(row["text"]):
            yield f"{row['id']}: its text is held out: {row['text']!r}"


def tunes_apart(all_rows: Manifests) -> Iterator[str]:
    """No tune, nor one with much the same melody, in the music test and its training; soundfonts differ."""
    sides = [all_rows.get(("music_qa", split), []) for split in ("test", "train")]
    for field in ("group", "soundfont"):
        test, train = ({r[field] for r in side} for side in sides)
        yield from (f"music_qa: {name} is in test and in training" for name in sorted(test & train))


def takes_apart(all_rows: Manifests) -> Iterator[str]:
    """No take group of a test caption, alone or in a mixture, in the training captions."""
    test, train = (
        {take for row in all_rows.get(("captions", split), []) for take in row["group"].split("+")}
        for split in ("test", "train")
    )
    yield from (f"captions: the takes {take} are in test and in training" for take in sorted(test & train))


def sources_apart(all_rows: Manifests) -> Iterator[str]:
    """No source file, by content, in the test of one task and the training of any."""
    test, train = (
        {source["sha256"] for row in _pick(all_rows, split) for source in _sources(row)}
        for split in ("test", "train")
    )
    shared = test & train
    yield from (f"the recording {digest[:12]} is in test and in training" for digest in sorted(shared))


def classes_complete(all_rows: Manifests) -> Iterator[str]:
    """Every class of a task that is trained on has test and training clips."""
    for task in sorted({task for task, split in all_rows if split == "train"}):
        test, train = (
            {r["label"] for r in all_rows.get((task, s), []) if "label" in r} for s in ("test", "train")
        )
        yield from (f"{task}: the class {label} is not in both splits" for label in sorted(test ^ train))


def licences_present(all_rows: Manifests) -> Iterator[str]:
    """Every row names its licence, package, version and source hash."""
    for (task, split), rows in all_rows.items():
        for row in rows:
            wanted = ("license", "package", "version", "path", "sha256")
            if not row.get("group") or not all(s.get(k) for s in _sources(row) for k in wanted):
                yield f"{task}.{split}: {row['id']} lacks a field of its origin"
    for task in sorted({task for task, split in all_rows if split == "test"}):
        for name in ("LICENSE.txt", "ATTRIBUTION.md"):
            if not (TEST_DATA / task / name).is_file():
                yield f"{task}: {name} is missing"


def clips_match(all_rows: Manifests) -> Iterator[str]:
    """The committed rows and clips are those of the manifest, and every clip decodes to 16 kHz mono."""
    for (task, split), rows in all_rows.items():
        if split != "test":
            continue
        folder = TEST_DATA / task
        listed = {folder / a for r in read_jsonl(folder / "test.jsonl") for a in audios(r)}
        if {p.stem for p in listed} != {r["id"] for r in rows}:
            yield f"{task}: test.jsonl and the manifest name different clips"
        present = set((folder / "audio").glob("*.opus"))
        yield from (f"{task}: {p.name} is missing or not listed" for p in sorted(listed ^ present))
        for path in sorted(listed & present):
            x, rate = soundfile.read(path, dtype="float32", always_2d=True)
            if rate != RATE or x.shape[1] != 1 or len(x) < RATE // 20 or not np.abs(x).max() > 1e-3:
                yield f"{task}: {path.name} is not a sounding 16 kHz mono clip"


def _sources(row: Row) -> list[Row]:
    return row.get("sources") or [row]


def audios(row: Row) -> list[str]:
    """Paths of a row's clips, below its data folder."""
    audio = row["audio"]
    return [audio] if isinstance(audio, str) else list(audio)


def recordings_differ(folder: Path) -> Iterator[str]:
    """No recording twice among the clips of one folder."""
    paths = sorted((folder / "audio").glob("*.opus"))
    waves = [soundfile.read(p, dtype="float32")[0] for p in paths]
    for i, j, c in same_pairs(waves):
        yield f"{folder.name}: {paths[i].stem} and {paths[j].stem} hold one recording (correlation {c})"


CHECKS: tuple[Callable[[Manifests], Iterator[str]], ...] = (
    unique_ids,
    voices_apart,
    phrases_apart,
    texts_apart,
    tunes_apart,
    takes_apart,
    sources_apart,
    classes_complete,
    licences_present,
    clips_match,
)


def main() -> int:
    """Print every fault; the exit code says whether there was one."""
    all_rows = manifests()
    faults = [fault for check in CHECKS for fault in check(all_rows)]
    print("\n".join(faults) or f"{len(all_rows)} manifests hold")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
