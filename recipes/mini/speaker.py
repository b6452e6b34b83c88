"""Questions about the speaker: gender, language, and whether two clips have one voice."""

from __future__ import annotations

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recipes.mini import asr, audio, heldout, stamps
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, read_jsonl, slug
from recipes.mini.text import order_key

LANGUAGES = {"en": "English", "es": "Spanish", "fr": "French", "ru": "Russian"}
SHORTEST = 1.0
LONGEST = 5.0
PER_LANGUAGE = 25
TRAIN_PER_LANGUAGE = 200
# Sex of the prompt speakers, as their recording studios name them.
PROMPT_GENDER = {"fr": ("female", 15), "it": ("male", 25)}
TTS_GENDER = {
    "tts_flite_slt": "female",
    "tts_hibari_heart": "female",
    "tts_flite_rms": "male",
    "tts_flite_awb": "male",
    "tts_piper_joe": "male",
}
TTS_PER_GENDER = 80
PAIRS_EACH = 80
CLIPS_PER_VOICE = 14
TRAIN_PAIRS_EACH = 150
# Voice packs that speak English. Classic, Default and Default_uk share recordings: only one is used.
TEST_VOICES = ("British", "Mobster", "Pirate", "Singer", "Surfer")
TRAIN_VOICES = ("Classic", "HillBilly", "Robot", "Russian")
NOT_SPOKEN = re.compile(r"^(Ow|Ooff|Ouch|Jump|Firepunch|Laugh|Poison\w+|Hmm|Nooo|Uh-oh|Flyaway)\d*$")


def _first(clips: Iterable[Clip], seed: str, count: int) -> list[Clip]:
    usable = [c for c in clips if SHORTEST <= audio.duration(c.file) <= LONGEST]
    return sorted(usable, key=lambda c: order_key(seed, c.path))[:count]


def _relabelled(clip: Clip, prefix: str, group: str, label: str) -> Clip:
    fields = {"label": label} | ({"language": clip.fields["language"]} if prefix == "gender" else {})
    return replace(clip, id=slug(prefix, clip.id), group=group, fields=fields)


def build_language(store: Store) -> tuple[list[Clip], list[Clip]]:
    """(test, train): prompt speakers against stamp speakers, so that no voice and no channel is shared."""
    test, train = [], []
    for code, name in LANGUAGES.items():
        held, _ = asr.build(store) if code == "en" else asr.build_other(store, code)
        for clip in _first(held, "language_id", PER_LANGUAGE):
            test.append(_relabelled(clip, "language", f"asterisk_{code}", name))
        for clip in _first(
            stamps.collect(store, code, asr.texts_of(held)), "language_id", TRAIN_PER_LANGUAGE
        ):
            train.append(_relabelled(clip, "language", f"tuxpaint_{code}", name))
    # Few stamps are spoken in English, so English voice packs are added.
    spoken = voice_clips(store, TRAIN_VOICES, TRAIN_PER_LANGUAGE // len(TRAIN_VOICES))
    train += [_relabelled(c, "language", c.group, LANGUAGES["en"]) for c in spoken]
    return test, train


def _soldiers(store: Store) -> list[Clip]:
    package = store.table["0ad-data"]
    found = []
    for name, file in files(store.open(package.name), "*/audio/voice/*/civ/*.ogg"):
        match = re.search(r"/voice/(\w+)/civ/civ_(female|male)", name)
        if match is None or audio.duration(file) < 0.4:
            continue
        group = f"0ad_{match[1]}_{match[2]}"
        ident = slug("gender", group, Path(name).stem)
        fields = {"label": match[2], "language": match[1]}
        found.append(Clip(ident, package, name, file, group, package.license, fields))
    return found


def build_gender(store: Store) -> tuple[list[Clip], list[Clip]]:
    """(test, train): two peoples of 0 A.D. and two prompt speakers against two other peoples."""
    clips = _soldiers(store)
    test = [c for c in clips if heldout.is_test(c.group)]
    for code, (gender, count) in PROMPT_GENDER.items():
        held, _ = asr.build_other(store, code)
        chosen = _first(held, "gender", count)
        test += [_relabelled(c, "gender", f"asterisk_{code}", gender) for c in chosen]
    return test, [c for c in clips if not heldout.is_test(c.group)]


def synthetic_gender_rows(synth: Path) -> list[dict[str, Any]]:
    """Training rows from the synthetic speech, whose voices have a known gender."""
    by_gender: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_jsonl(synth / "train.jsonl"):
        gender = TTS_GENDER.get(row["group"])
        if gender is not None:
            by_gender[gender].append(row)
    return [
        {
            "id": f"gender-{row['id']}",
            "audio": f"../{synth.name}/{row['audio']}",
            "label": gender,
            "language": "en",
            "group": row["group"],
            "license": row["license"],
            "source": row["source"],
        }
        for gender in sorted(by_gender)
        for row in sorted(by_gender[gender], key=lambda r: order_key("gender", r["id"]))[:TTS_PER_GENDER]
    ]


def voice_clips(store: Store, voices: Sequence[str], count: int) -> list[Clip]:
    """Spoken lines of the named packs, up to `count` a voice."""
    package = store.table["hedgewars-data"]
    found: dict[str, list[Clip]] = defaultdict(list)
    for name, file in files(store.open(package.name), "*/Sounds/voices/*.ogg"):
        path = Path(name)
        voice = path.parent.name
        if voice not in voices or NOT_SPOKEN.match(path.stem) or audio.duration(file) < 0.7:
            continue
        ident = slug("voice", voice, path.stem)
        fields = {"phrase": path.stem, "language": "en"}
        found[voice].append(Clip(ident, package, name, file, f"hw_{voice}", package.license, fields))
    chosen = (sorted(found[v], key=lambda c: order_key("same_voice", c.path))[:count] for v in voices)
    return list(itertools.chain.from_iterable(chosen))


def pair_rows(clips: Sequence[Clip], seed: str, each: int) -> list[dict[str, Any]]:
    """`each` pairs of one voice and `each` of two, never with the same phrase twice in a pair."""
    pairs = [
        (a, b)
        for a, b in itertools.combinations(sorted(clips, key=lambda c: c.id), 2)
        if a.fields["phrase"] != b.fields["phrase"]
    ]
    random.Random(seed).shuffle(pairs)
    same = [p for p in pairs if p[0].group == p[1].group][:each]
    different = [p for p in pairs if p[0].group != p[1].group][:each]
    rows = []
    for label, chosen in (("same", same), ("different", different)):
        for a, b in chosen:
            rows.append(
                {
                    "id": f"{a.id}--{b.id.removeprefix('voice-')}",
                    "audio": [f"audio/{a.id}.opus", f"audio/{b.id}.opus"],
                    "label": label,
                    "group": "+".join(sorted({a.group, b.group})),
                    "license": a.license,
                    "source": f"{a.package.name} {a.package.version}: {a.path} and {b.path}",
                }
            )
    return sorted(rows, key=lambda r: order_key(seed, r["id"]))
