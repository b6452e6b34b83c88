"""English speech recognition: the Asterisk voice prompts, split by text."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from recipes.mini import audio, stamps
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, slug
from recipes.mini.text import Exclusion, near_groups, normalise, order_key

SEED = "asr_en/1"
TEST_CLIPS = 165
OTHER_LANGUAGES = ("es", "fr", "it", "ru")
OTHER_TEST_CLIPS = 66
LONGEST = 20.0
# Misspellings in the transcript file, seen by reading it; the speaker says the word.
SPELLING = {
    "represenatives": "representatives",
    "fourtieth": "fortieth",
    "umute": "unmute",
    "Un-indentified": "Unidentified",
    "witheld": "withheld",
}
# Prompts that hold other words than their transcript, or a tone (whisper-base heard something else).
UNFIT = {
    "es": {"vm-record-prepend"},
    "it": {"beep", "beeperr", "conf-muted"},
}
ANNOTATION = re.compile(r"[\[\]()<>*#@]")


def read_transcripts(path: Path) -> dict[str, str]:
    """Prompt name -> text from a `core-sounds-xx.txt.gz`."""
    with gzip.open(path, "rb") as f:
        raw = f.read()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith(";"))
    return {name.strip(): " ".join(prompt.split()) for name, prompt in pairs}


def corrected(text: str) -> str:
    """The text with known misspellings put right."""
    for wrong, right in SPELLING.items():
        text = text.replace(wrong, right)
    return text


def plausible(text: str, seconds: float) -> bool:
    """False when nobody could say `text` in that time: then file and transcript do not belong together."""
    letters = len(normalise(text).replace(" ", ""))
    spelled = sum(len(w) == 1 for w in normalise(text).split())
    digits = sum(c.isdigit() for c in text)
    units = letters + 3 * spelled + 4 * digits
    return (0.25 <= seconds <= LONGEST and 3.0 <= units / (seconds + 0.2) <= 26.0) or (
        0.25 <= seconds <= 1.6 and letters <= 3
    )


def prompts(store: Store, language: str) -> list[Clip]:
    """Every usable prompt of one language, one clip a file."""
    texts = store.open(f"asterisk-core-sounds-{language}")
    name, path = next(iter(files(texts, "*/core-sounds-*.txt.gz")))
    transcripts = read_transcripts(path)
    package = store.table[f"asterisk-core-sounds-{language}-wav"]
    clips = []
    for name, file in files(store.open(package.name), "*.wav"):
        key = re.sub(r"^usr/share/asterisk/sounds/[^/]+/", "", name).removesuffix(".wav")
        text = corrected(transcripts.get(key, ""))
        if not normalise(text) or ANNOTATION.search(text) or key in UNFIT.get(language, ()):
            continue
        if language != "en" and len(text) == 1:  # one says the letter's name, in words of that language
            continue
        if not plausible(text, audio.duration(file)):
            continue
        group = normalise(text)
        fields = {"text": text, "language": language}
        ident = slug(f"asterisk-{language}", key)
        clips.append(Clip(ident, package, name, file, group, package.license, fields, {"prompt": key}))
    return clips


def split_by_text(clips: Sequence[Clip], seed: str, wanted: int) -> tuple[list[Clip], list[Clip]]:
    """(test, train): whole groups of equal or nearly equal texts on one side, chosen by hash of the text."""
    groups = near_groups([c.group for c in clips])
    test_groups: set[str] = set()
    count = 0
    for group in sorted(set(groups.values()), key=lambda g: order_key(seed, g)):
        if count >= wanted:
            break
        test_groups.add(group)
        count += sum(groups[c.group] == group for c in clips)
    test = [c for c in clips if groups[c.group] in test_groups]
    train = [c for c in clips if groups[c.group] not in test_groups]
    return test, train


def build(store: Store) -> tuple[list[Clip], list[Clip]]:
    """(test, train) of the English prompts; a training prompt that holds a whole test prompt is left out."""
    test, train = split_by_text(prompts(store, "en"), SEED, TEST_CLIPS)
    exclusion = Exclusion(texts_of(test))
    return test, [c for c in train if not exclusion.hits(c.fields["text"])]


def build_other(store: Store, language: str) -> tuple[list[Clip], list[Clip]]:
    """(test, train) of another language: prompts against stamp descriptions by other voices."""
    test, _ = split_by_text(prompts(store, language), f"asr_{language}/1", OTHER_TEST_CLIPS)
    return test, list(stamps.collect(store, language, texts_of(test)))


def texts_of(clips: Iterable[Clip]) -> set[str]:
    """Normalised texts of clips."""
    return {normalise(c.fields["text"]) for c in clips}
