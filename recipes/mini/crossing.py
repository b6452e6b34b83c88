"""Does anything of the tests cross into the built training data? `python -m recipes.mini.crossing DIR`.

`recipes.mini.checks` looks at the manifests; this reads the training data itself: its texts, the synthetic
ones among them, and its sound.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from recipes.mini import audio, near
from recipes.mini.checks import Manifests, Row, audios, manifests
from recipes.mini.rows import TEST_DATA, read_jsonl
from recipes.mini.text import Exclusion, normalise

# Rendered voices: no recording of a test can be among them.
SYNTHETIC = ("speech_synth/train.jsonl", "gender/train_synth.jsonl")

# Two short words of one voice, "p" and "two", that only just reach the threshold (correlation 0.601).
DIFFERENT = (("asterisk-en-letters-p", "asterisk-en-digits-2"),)


def training(folder: Path) -> dict[str, list[Row]]:
    """Rows of every training file, by its path below `folder`."""
    return {p.relative_to(folder).as_posix(): read_jsonl(p) for p in sorted(folder.glob("*/train*.jsonl"))}


def built_as_listed(folder: Path, listed: Manifests) -> Iterator[str]:
    """The training files hold what the manifests list."""
    built = training(folder)
    for task in sorted(task for task, split in listed if split == "train"):
        clips = {Path(a).stem for r in built.get(f"{task}/train.jsonl", []) for a in audios(r)}
        named = {row["id"] for row in listed[task, "train"]}
        # Of the voices that pairs are drawn from, a clip may be in none.
        wrong = clips - named if task == "same_voice" else clips ^ named
        if wrong:
            yield f"{task}: built and manifest differ in {len(wrong)} clips, such as {min(wrong)}"


def texts_cross(folder: Path, _: Manifests) -> Iterator[str]:
    """No training text, synthetic speech included, is or holds a test text of its language."""
    held: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TEST_DATA.glob("*/test.jsonl")):
        for row in read_jsonl(path):
            if "text" in row:
                held[row["language"]].add(normalise(row["text"]))
    exclusions = {language: Exclusion(texts) for language, texts in held.items()}
    for name, rows in training(folder).items():
        for row in rows:
            if "text" in row and exclusions[row.get("language", "en")].hits(row["text"]):
                yield f"{name}: {row['id']} says a test text: {row['text']!r}"


def recordings_cross(folder: Path, _: Manifests) -> Iterator[str]:
    """No test recording, nor a copy at another level, trimmed or encoded anew, is in the training data."""
    test = [
        p.parent / a for p in sorted(TEST_DATA.glob("*/test.jsonl")) for r in read_jsonl(p) for a in audios(r)
    ]
    train = [
        folder / Path(name).parent / a
        for name, rows in training(folder).items()
        if name not in SYNTHETIC
        for row in rows
        for a in audios(row)
    ]
    for one, other, c in near.same_across(sorted(set(test)), sorted(set(train)), audio.load):
        if (one.stem, other.stem) not in DIFFERENT:
            pair = f"{one.relative_to(TEST_DATA)} and {other.relative_to(folder)}"
            yield f"{pair} hold one recording (correlation {c})"


CHECKS: tuple[Callable[[Path, Manifests], Iterator[str]], ...] = (
    built_as_listed,
    texts_cross,
    recordings_cross,
)


def main(arguments: list[str]) -> int:
    """Print every fault; the exit code says whether there was one."""
    if len(arguments) != 1 or not training(Path(arguments[0])):
        print("usage: python -m recipes.mini.crossing DIR, the folder of training data", file=sys.stderr)
        return 2
    folder, listed = Path(arguments[0]), manifests()
    faults = [fault for check in CHECKS for fault in check(folder, listed)]
    print("\n".join(faults) or f"nothing of the tests is in {folder}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
