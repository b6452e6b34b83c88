"""Rebuild the mini data: `python -m recipes.mini.build [STEP ...]`.

Test clips go to `tasks/mini/data/`, manifests to `recipes/mini/manifests/`, training data to where `evalkit train`
looks for it, `mini-train` in evalkit's cache.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from evalkit.artifacts import cache_dir
from recipes.mini import (
    asr,
    attribution,
    captions,
    dedupe,
    emotion,
    instruments,
    music,
    rows,
    scenes,
    speaker,
    speech,
    stamps,
    vocal,
)
from recipes.mini.packages import Store, sha256_file
from recipes.mini.rows import Clip


def _write(task: str, test: list[Clip], train: list[Clip], cache: Path) -> None:
    rows.write_split(task, "test", test, rows.TEST_DATA / task)
    rows.write_split(task, "train", train, cache / task)
    attribution.write(rows.TEST_DATA / task, task, [(c.package, c.license) for c in test])
    print(f"{task}: {len(test)} test clips, {len(train)} training clips")


def build_asr(store: Store, cache: Path) -> None:
    """English prompts."""
    test, train = asr.build(store)
    _write("asr_en", test, train, cache)


def build_vocal(store: Store, cache: Path) -> None:
    """Non-verbal vocal expression."""
    test, train = vocal.build(store)
    _write("vocal_expression", test, train, cache)


def build_emotion(store: Store, cache: Path) -> None:
    """Acted emotion."""
    test, train, unused = emotion.build(store)
    test, train = dedupe.deduplicate(test, train)
    _write("emotion_acted", test, train, cache)
    path = rows.MANIFESTS / "emotion_acted.unused.jsonl"
    rows.write_jsonl(path, map(rows.manifest_row, sorted(unused, key=lambda c: c.id)))


def build_asr_other(store: Store, cache: Path) -> None:
    """Spanish, French, Italian and Russian prompts; Italian has no training speech."""
    for language in asr.OTHER_LANGUAGES:
        test, train = asr.build_other(store, language)
        _write(f"asr_{language}", test, train, cache)


def build_speaker(store: Store, cache: Path) -> None:
    """Language, gender, and pairs of voices."""
    _write("language_id", *speaker.build_language(store), cache)
    _write("gender", *speaker.build_gender(store), cache)
    test = speaker.voice_clips(store, speaker.TEST_VOICES, speaker.CLIPS_PER_VOICE)
    train = speaker.voice_clips(store, speaker.TRAIN_VOICES, 2 * speaker.CLIPS_PER_VOICE)
    _write("same_voice", test, train, cache)
    pairs = speaker.pair_rows(test, "same_voice/test", speaker.PAIRS_EACH)
    rows.write_jsonl(rows.TEST_DATA / "same_voice" / "test.jsonl", pairs)
    pairs = speaker.pair_rows(train, "same_voice/train", speaker.TRAIN_PAIRS_EACH)
    rows.write_jsonl(cache / "same_voice" / "train.jsonl", pairs)


def build_captions(store: Store, cache: Path) -> None:
    """Sound events and mixtures of two."""
    test, train = captions.build(store)
    scenes.write_split("captions", "test", test, rows.TEST_DATA / "captions", longest=4.5)
    scenes.write_split("captions", "train", train, cache / "captions", longest=6.0)
    origins = [(c.package, c.license) for scene in test for c in scene.takes]
    attribution.write(rows.TEST_DATA / "captions", "captions", origins)
    print(f"captions: {len(test)} test clips, {len(train)} training clips")


def build_music(store: Store, cache: Path) -> None:
    """Questions about rendered tunes."""
    sides = music.split(music.scores(store))
    folder = rows.TEST_DATA / "music_qa"
    test = music.write_split(store, sides["test"], "test", folder)
    font = store.table[music.SOUNDFONT["test"]]
    attribution.write(folder, "music_qa", [(font, font.license), (store.table["music21"], "public-domain")])
    train = music.write_split(store, sides["train"], "train", cache / "music_qa")
    real = instruments.write(store, rows.TEST_DATA / "music_real")
    origins = [(c.package, c.license) for c in real]
    attribution.write(rows.TEST_DATA / "music_real", "music_real", origins)
    print(f"music_qa: {test} test questions, {train} training questions; {len(real)} real recordings")


def build_speech(store: Store, cache: Path) -> None:
    """Training speech: stamp descriptions and synthetic utterances."""
    test, train = asr.build(store)
    held = asr.texts_of(test)
    rows.write_split(
        "speech_stamps", "train", list(stamps.collect(store, "en", held)), cache / "speech_stamps"
    )
    prompts = [c.fields["text"] for c in train]
    count = speech.synthesise(store, cache / "speech_synth", prompts, held)
    print(f"speech_synth: {count} utterances")
    listing = cache / "speech_synth" / "train.jsonl"
    by_voice = Counter(row["group"] for row in rows.read_jsonl(listing))
    summary = {"utterances": count, "train.jsonl sha256": sha256_file(listing), "by voice": by_voice}
    path = rows.MANIFESTS / "speech_synth.summary.json"
    path.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    extra = speaker.synthetic_gender_rows(cache / "speech_synth")
    rows.write_jsonl(cache / "gender" / "train_synth.jsonl", extra)


BUILDERS = {
    "asr": build_asr,
    "asr_other": build_asr_other,
    "vocal": build_vocal,
    "emotion": build_emotion,
    "speaker": build_speaker,
    "captions": build_captions,
    "music": build_music,
    "speech": build_speech,
}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", nargs="*", default=["all"], choices=[*BUILDERS, "all"])
    parser.add_argument(
        "--cache",
        type=Path,
        default=cache_dir() / "mini-train",
        help="where training data goes (%(default)s)",
    )
    parser.add_argument(
        "--packages", type=Path, help="where packages are kept and unpacked (default: below --cache)"
    )
    args = parser.parse_args(argv)
    store = Store(args.packages or args.cache / "sources")
    steps = list(BUILDERS) if "all" in args.step else args.step
    for step in steps:
        BUILDERS[step](store, args.cache)
    return 0


if __name__ == "__main__":
    sys.exit(main())
