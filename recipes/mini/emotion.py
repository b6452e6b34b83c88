"""Acted emotion: the voice packs of Hedgewars, labelled by the phrase that the actor was given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from recipes.mini import audio, heldout
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, slug

PACKAGE = "hedgewars-data"
SHORTEST = 0.1
LONGEST = 10.0
# Emotion -> (phrases of the test, phrases of training). Left out: phrases without a clear emotion
# (Hello, Fire, Melon, Whatthe, ...), Laugh, PoisonMoan and PoisonCough (no speech).
PHRASES: dict[str, tuple[str, str]] = {
    "joy": ("Brilliant Victory Flawless Enemydown", "Amazing Excellent Firstblood"),
    "anger": (
        "Justyouwait Traitor Youllregretthat Watchit",
        "Illgetyou Gonnagetyou Revenge Cutitout Leavemealone Comeonthen",
    ),
    "fear": ("Takecover Uh-oh Nooo", "Runaway Incoming"),
    "disappointment": ("Oops Missed Drat", "Ohdear Bugger"),
    "contempt": ("Stupid Coward", "Nutter"),
    "impatience": ("Boring", "Hurry Hmm"),
    "pain": ("Ooff", "Ow Ouch"),
    "effort": ("Jump", "Firepunch"),
}
# What a pack speaks when it is not English (Robot, Pirate, Russian, ... are English characters).
LANGUAGES = {
    "Default_es": "es",
    "Default_pl": "pl",
    "Default_ru": "ru",
    "Default_uk": "uk",
    "Russian_pl": "pl",
}
BY_PHRASE = {
    phrase: (emotion, side)
    for emotion, sides in PHRASES.items()
    for side, phrases in zip(("test", "train"), sides, strict=True)
    for phrase in phrases.split()
}


def collect(store: Store) -> Iterator[tuple[str, Clip]]:
    """(side of the phrase, clip) of every labelled line."""
    package = store.table[PACKAGE]
    for name, file in files(store.open(PACKAGE), "*/Sounds/voices/*.ogg"):
        voice = Path(name).parent.name
        phrase = re.sub(r"\d*$", "", Path(name).stem)
        if phrase not in BY_PHRASE or not SHORTEST <= audio.duration(file) <= LONGEST:
            continue
        emotion, side = BY_PHRASE[phrase]
        language = LANGUAGES.get(voice, "en")
        fields = {"label": emotion, "phrase": phrase, "language": language}
        ident = slug("emotion", voice, Path(name).stem)
        yield side, Clip(ident, package, name, file, f"hw_{voice}", package.license, fields)


def build(store: Store) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """(test, train, unused): test voices with test phrases, train voices with train phrases, the rest."""
    test: list[Clip] = []
    train: list[Clip] = []
    unused: list[Clip] = []
    for side, clip in collect(store):
        voice_side = "test" if heldout.is_test(clip.group) else "train"
        chosen = unused if side != voice_side else test if side == "test" else train
        chosen.append(clip)
    return test, train, unused
