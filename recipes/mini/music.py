"""Questions about music: fiddle tunes rendered with soundfonts, so that every answer is known exactly."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.mini import abc, audio, midi
from recipes.mini.packages import Package, Store, files, sha256_file
from recipes.mini.rows import MANIFESTS, slug, write_jsonl
from recipes.mini.text import order_key

SEED = "music_qa/1"
# General MIDI program numbers, from 0.
INSTRUMENTS = {
    "piano": 0,
    "harpsichord": 6,
    "xylophone": 13,
    "church organ": 19,
    "accordion": 21,
    "acoustic guitar": 24,
    "violin": 40,
    "trumpet": 56,
    "clarinet": 71,
    "flute": 73,
}
# Beats a minute; the gaps between the ranges keep the classes apart.
TEMPOS = {"slow": (50, 62), "medium": (82, 98), "fast": (126, 146)}
METERS = {"2/4": "2/4 or 4/4", "4/4": "2/4 or 4/4", "C": "2/4 or 4/4", "C|": "2/4 or 4/4"} | {
    m: m for m in ("6/8", "9/8")
}
DANCES = {"reel": "reel", "jig": "jig", "hornpipe": "hornpipe", "strathspey": "strathspey"}
MODES = {"": "major", "maj": "major", "m": "minor", "min": "minor"}
SECONDS = {"test": 5.0, "train": 8.0}
SOUNDFONT = {"test": "fluid-soundfont-gm", "train": "timgm6mb-soundfont"}
RENDERINGS = {"test": 1, "train": 1}
# Minor tunes are rare in the collection: each is rendered more often for training.
MINOR_RENDERINGS = {"test": 1, "train": 8}
TEST_QUOTA = {
    "minor": 22,
    "9/8": 12,
    "strathspey": 14,
    "jig": 22,
    "hornpipe": 22,
    "reel": 26,
}
SAME_TUNE = 0.25
QUESTIONS = {
    "instrument": "Which instrument plays the tune?",
    "tempo": "How fast is the tune played?",
    "meter": "What is the meter of the tune?",
    "dance": "What kind of dance tune is this?",
    "mode": "Is the tune in a major or a minor key?",
}
CHOICES = {
    "instrument": list(INSTRUMENTS),
    "tempo": list(TEMPOS),
    "meter": ["2/4 or 4/4", "6/8", "9/8"],
    "dance": list(DANCES.values()),
    "mode": ["major", "minor"],
}
# At most this many test questions of one answer, so that a prior does not win.
MOST_OF_ONE_ANSWER = {"instrument": 99, "tempo": 99, "meter": 22, "dance": 18, "mode": 24}


@dataclass(frozen=True)
class Score:
    """One tune of the collection."""

    name: str
    path: str
    file: Path
    tune: abc.Tune
    family: str  # tunes with much the same melody have one family


def _grams(tune: abc.Tune) -> set[tuple[int, ...]]:
    """Runs of five melodic steps, the same in every key."""
    steps = [b.pitch - a.pitch for a, b in zip(tune.notes, tune.notes[1:], strict=False)]
    return {tuple(steps[i : i + 5]) for i in range(len(steps) - 4)}


def scores(store: Store) -> list[Score]:
    """Every readable tune, with its family of like melodies."""
    found: list[tuple[str, str, Path, abc.Tune]] = []
    for path, file in files(store.open("music21"), "*/ryansMammoth/*.abc"):
        try:
            tune = abc.read(file.read_text(encoding="utf-8", errors="replace"))
        except ValueError:
            continue  # an unusual notation; the other tunes are enough
        if len(tune.notes) >= 40:
            found.append((slug(file.stem), path, file, tune))
    family: dict[str, str] = {}
    grams: dict[str, set[tuple[int, ...]]] = {}
    for name, _, _, tune in found:
        mine = _grams(tune)
        like = [n for n, g in grams.items() if len(mine & g) > SAME_TUNE * min(len(mine), len(g))]
        family[name] = family[like[0]] if like else name
        grams[name] = mine
        merged = {family[n] for n in like}
        family = {n: family[name] if f in merged else f for n, f in family.items()}
    return [Score(name, path, file, tune, family[name]) for name, path, file, tune in found]


def answers(tune: abc.Tune, instrument: str, tempo: str) -> dict[str, str]:
    """Topic -> answer, for the topics that a tune can be asked about."""
    known = {"instrument": instrument, "tempo": tempo, "meter": METERS[tune.meter]}
    if tune.rhythm in DANCES:
        known["dance"] = DANCES[tune.rhythm]
    if tune.mode in MODES:
        known["mode"] = MODES[tune.mode]
    return known


def _kinds(score: Score) -> set[str]:
    return {METERS[score.tune.meter], MODES.get(score.tune.mode, ""), score.tune.rhythm}


def split(all_scores: Sequence[Score]) -> dict[str, list[Score]]:
    """Test tunes by quota, rare kinds first; only tunes without a like melody are taken."""
    families = Counter(s.family for s in all_scores)
    ordered = sorted(all_scores, key=lambda s: order_key(SEED, s.name))
    free = [s for s in ordered if families[s.family] == 1]
    chosen: list[Score] = []
    for kind, quota in TEST_QUOTA.items():
        for score in free:
            if sum(kind in _kinds(s) for s in chosen) >= quota:
                break
            if (
                kind in _kinds(score)
                and score not in chosen
                and ("minor" not in _kinds(score) or kind == "minor")
            ):
                chosen.append(score)
    names = {s.name for s in chosen}
    return {"test": chosen, "train": [s for s in all_scores if s.name not in names]}


def _row(ident: str, topic: str, answer: str, score: Score, package: Package, rights: str) -> dict[str, Any]:
    return {
        "id": f"{ident}-{topic}",
        "audio": f"audio/{ident}.opus",
        "topic": topic,
        "question": QUESTIONS[topic],
        "choices": CHOICES[topic],
        "label": answer,
        "group": f"tune_{score.family}",
        "license": rights,
        "source": f"{package.name} {package.version}: {score.path}",
    }


def _plans(chosen: Sequence[Score], name: str) -> Iterator[tuple[str, Score, str, str, float]]:
    """(id, score, instrument, tempo class, beats a minute) of each rendering, instruments in turn."""
    ordered = sorted(chosen, key=lambda s: order_key(SEED + name, s.name))
    often = {s.name: MINOR_RENDERINGS if "minor" in _kinds(s) else RENDERINGS for s in ordered}
    takes = [
        (s, t) for t in range(max(MINOR_RENDERINGS.values())) for s in ordered if t < often[s.name][name]
    ]
    for i, (score, take) in enumerate(takes):
        rng = random.Random(f"{SEED}/{score.name}/{take}")
        instrument = list(INSTRUMENTS)[i % len(INSTRUMENTS)]
        tempo = rng.choice(list(TEMPOS))
        yield (
            slug("tune", score.name, str(take)),
            score,
            instrument,
            tempo,
            round(rng.uniform(*TEMPOS[tempo]), 1),
        )


def write_split(store: Store, chosen: Sequence[Score], name: str, folder: Path) -> int:
    """Render one split and write its questions and manifest. Returns the number of questions."""
    package, font = store.table["music21"], store.table[SOUNDFONT[name]]
    soundfont = next(store.open(font.name).rglob("*.sf2"))
    counts: Counter[tuple[str, str]] = Counter()
    by_topic: dict[str, list[dict[str, Any]]] = defaultdict(list)
    manifest = []
    for ident, score, instrument, tempo, bpm in _plans(chosen, name):
        target = folder / "audio" / f"{ident}.opus"
        if not target.exists():
            notes = midi.excerpt(score.tune, SECONDS[name] * bpm / 60 + 1)
            data = midi.smf(score.tune, notes, INSTRUMENTS[instrument], bpm)
            audio.encode(midi.render(data, soundfont, SECONDS[name]), target)
        known = answers(score.tune, instrument, tempo)
        for topic, answer in known.items():
            counts[topic, answer] += 1
            if name == "train" or counts[topic, answer] <= MOST_OF_ONE_ANSWER[topic]:
                by_topic[topic].append(_row(ident, topic, answer, score, package, font.license))
        manifest.append(
            {
                "id": ident,
                "package": package.name,
                "version": package.version,
                "path": score.path,
                "sha256": sha256_file(score.file),
                "license": font.license,
                "soundfont": f"{font.name} {font.version}",
                "beats_per_minute": bpm,
                **known,
                "group": f"tune_{score.family}",
            }
        )
    questions = [row for topic in QUESTIONS for row in sorted(by_topic[topic], key=lambda r: r["id"])]
    write_jsonl(folder / f"{name}.jsonl", questions)
    write_jsonl(MANIFESTS / f"music_qa.{name}.jsonl", sorted(manifest, key=lambda r: r["id"]))
    return len(questions)
