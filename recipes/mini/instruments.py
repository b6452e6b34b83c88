"""Recordings of real instruments, for the test only: which of four is it?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from recipes.mini import audio
from recipes.mini.packages import Store, files
from recipes.mini.rows import MANIFESTS, Clip, data_row, manifest_row, slug, write_jsonl
from recipes.mini.text import words

SEED = "music_real/1"
SECONDS = 5.0
QUESTION = "Which instrument is heard?"
SOURCES = {
    "gcompris-qt-data": "*/instruments/resource/*.ogg",
    "tuxpaint-stamps-default": "*/stamps/hobbies/music/[sw]*/*.ogg",
}
NAMES = {
    "flute_traversiere": "flute",
    "guitar": "acoustic guitar",
    "horn": "French horn",
    "organ": "church organ",
    "cymbal": "cymbals",
}
# Instruments that a listener could not tell apart from the right one are not offered beside it.
CONFUSABLE = [
    set(words(group, "|"))
    for group in (
        "snare drum|drum kit|timpani|cymbals",
        "tambourine|maracas|castanets|bongo",
        "harmonica|accordion",
        "trombone|trumpet|French horn|tuba",
        "violin|cello",
        "clarinet|saxophone|bassoon",
        "acoustic guitar|banjo|electric guitar|harp",
    )
]


def collect(store: Store) -> list[Clip]:
    """One clip an instrument and package."""
    found = []
    for name, pattern in SOURCES.items():
        package = store.table[name]
        for inner, file in files(store.open(name), pattern):
            stem = Path(inner).stem
            if "_desc" in stem:
                continue
            label = NAMES.get(stem, stem.replace("_", " "))
            ident = slug("instrument", name, stem)
            group = f"recording_{slug(name, stem)}"
            found.append(Clip(ident, package, inner, file, group, package.license, {"label": label}))
    return found


def choices(label: str, labels: list[str], ident: str) -> list[str]:
    """The right instrument among three clearly different ones, in a seeded order."""
    alike = set().union(*(group for group in CONFUSABLE if label in group)) | {label}
    rng = random.Random(f"{SEED}/{ident}")
    offered = [label, *rng.sample([x for x in labels if x not in alike], 3)]
    rng.shuffle(offered)
    return offered


def write(store: Store, folder: Path) -> list[Clip]:
    """Write clips, questions and manifest."""
    clips = sorted(collect(store), key=lambda c: c.id)
    labels = sorted({c.fields["label"] for c in clips})
    questions: list[dict[str, Any]] = []
    for clip in clips:
        target = folder / "audio" / f"{clip.id}.opus"
        if not target.exists():
            audio.encode(audio.load(clip.file)[: int(SECONDS * audio.RATE)], target)
        row = data_row(clip)
        offered = choices(clip.fields["label"], labels, clip.id)
        questions.append(row | {"topic": "instrument", "question": QUESTION, "choices": offered})
    write_jsonl(folder / "test.jsonl", questions)
    write_jsonl(MANIFESTS / "music_real.test.jsonl", map(manifest_row, clips))
    return clips
