"""Real training speech: the spoken descriptions of the Tux Paint stamps, in several languages."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from recipes.mini import audio
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, slug
from recipes.mini.text import Exclusion, normalise

PACKAGE = "tuxpaint-stamps-default"
SHORTEST = 0.3
LONGEST = 12.0
# Letters a second outside of which a description and its recording do not belong together.
SLOWEST, FASTEST = 4, 26


def description(text_file: Path, language: str) -> str:
    """The line of a stamp's text file in one language, empty if there is none."""
    lines = text_file.read_text(encoding="utf-8", errors="replace").splitlines()
    if language == "en":
        return lines[0].strip() if lines else ""
    marker = f"{language}.utf8="
    return next((line[len(marker) :].strip() for line in lines if line.startswith(marker)), "")


def recordings(store: Store, language: str) -> Iterator[tuple[str, Path, Path]]:
    """(inner path, sound file, text file) of every spoken description in one language."""
    suffix = "_desc" if language == "en" else f"_desc_{language}"
    for name, file in files(store.open(PACKAGE), f"*/stamps/*{suffix}.*"):
        text_file = file.with_name(re.sub(rf"{suffix}\.(ogg|wav)$", ".txt", file.name))
        if text_file.suffix == ".txt" and text_file.exists():
            yield name, file, text_file


def collect(store: Store, language: str, test_texts: Collection[str]) -> Iterator[Clip]:
    """Every description whose text may be trained on."""
    package = store.table[PACKAGE]
    exclusion = Exclusion(test_texts)
    for name, file, text_file in recordings(store, language):
        text = description(text_file, language)
        seconds = audio.duration(file)
        rate = len(normalise(text)) / (seconds + 0.2)
        if not text or not SHORTEST <= seconds <= LONGEST or not SLOWEST <= rate <= FASTEST:
            continue
        if exclusion.hits(text):
            continue
        ident = slug(f"stamp-{language}", name.split("/stamps/")[1].rsplit("_desc", 1)[0])
        fields = {"text": text, "language": language}
        yield Clip(ident, package, name, file, f"tuxpaint_{language}", package.license, fields)
