"""Sound events with reference captions: single events and mixtures of two, by file name of game sounds."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from recipes.mini import audio
from recipes.mini.dedupe import deduplicate
from recipes.mini.licences import licence_of
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, slug
from recipes.mini.scenes import Event, Scene
from recipes.mini.text import order_key

TABLE = Path(__file__).with_name("events.yaml")
SEED = "captions/1"
SHORTEST = 0.15
TEST_SHARE = 0.4
TEST_PER_CLASS = 6
TRAIN_PER_CLASS = 25
TAKES = 4
TEST_MIXTURES = 100
TRAIN_MIXTURES = 600
NOT_A_SCENE = re.compile(r"/music/|/voice|/interface/|/human/|/(ui|geoscape|impact|enemies)/|announcer")


def _clips(store: Store, label: str, sources: dict[str, str]) -> Iterator[Clip]:
    for name, pattern in sources.items():
        package = store.table[name]
        for inner, file in files(store.open(name), "*.*"):
            path = Path(inner)
            if path.suffix not in (".ogg", ".wav", ".oga") or NOT_A_SCENE.search(inner):
                continue
            if not re.search(pattern, path.name) or audio.duration(file) < SHORTEST:
                continue
            take_group = slug(name, re.sub(r"[\d_]*$", "", path.stem))
            ident = slug("event", name, *path.parts[-2:])
            licence = licence_of(store, package, inner)
            yield Clip(ident, package, inner, file, take_group, licence, {"label": label})


def _test_groups(clips: Sequence[Clip]) -> set[str]:
    """About TEST_SHARE of the take groups of one class; none if there is only one group."""
    groups = sorted({c.group for c in clips}, key=lambda g: order_key(SEED, g))
    return set(groups[: max(1, int(len(groups) * TEST_SHARE))]) if len(groups) > 1 else set()


def _events(clips: Sequence[Clip], repeat: bool, most: int) -> list[Event]:
    """Up to `most` events of one class, taking turns between take groups."""
    by_group: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda c: order_key(SEED, c.id)):
        by_group[clip.group, clip.license].append(clip)
    size = TAKES if repeat else 1
    queues = [
        [
            Event(group[0].fields["label"], group[0].group, tuple(group[i : i + size]))
            for i in range(0, len(group), size)
        ]
        for _, group in sorted(by_group.items())
    ]
    turns = [queue[i] for i in range(max(map(len, queues), default=0)) for queue in queues if i < len(queue)]
    return turns[:most]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _single_captions(words: dict[str, Any]) -> tuple[str, ...]:
    (c1, c2), (n1, n2) = words["clause"], words["noun"]
    return tuple(map(_sentence, (c1, c2, n1, n2, f"one can hear {n1}")))


def _pair_captions(kind: str, a: dict[str, Any], b: dict[str, Any]) -> tuple[str, ...]:
    (a1, a2), (an1, an2) = a["clause"], a["noun"]
    (b1, b2), (bn1, bn2) = b["clause"], b["noun"]
    if kind == "sequence":
        texts = (
            f"{a1}, then {b1}",
            f"{an1} followed by {bn1}",
            f"first {an2}, then {bn2}",
            f"{a2} and afterwards {b2}",
            f"after {an1}, {b1}",
        )
    else:
        texts = (
            f"{a1} while {b1}",
            f"{an1} and {bn1}",
            f"{bn2} together with {an2}",
            f"{b2} and {a2}",
            f"{a1}, and at the same time {b2}",
        )
    return tuple(map(_sentence, texts))


def _mixtures(events: Sequence[Event], table: dict[str, Any], seed: str, count: int) -> list[Scene]:
    """Pairs of events of different classes and one licence, half of them overlapping."""
    rng = random.Random(seed)
    by_label: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_label[event.label].append(event)
    labels = sorted(by_label)
    found: dict[str, Scene] = {}
    while len(found) < count:
        first, second = (rng.choice(by_label[label]) for label in rng.sample(labels, 2))
        if first.license != second.license:
            continue
        kind = ("overlap", "sequence")[len(found) % 2]
        ident = slug(kind, first.takes[0].id, second.takes[0].id.removeprefix("event-"))
        captions = _pair_captions(kind, table[first.label], table[second.label])
        found[ident] = Scene(ident, kind, (first, second), captions)
    return list(found.values())


def _scenes(
    clips: Sequence[Clip], table: dict[str, Any], split: str, most: int, mixtures: int
) -> list[Scene]:
    events = []
    for label, words in table.items():
        events += _events([c for c in clips if c.fields["label"] == label], words.get("repeat", False), most)
    singles = [
        Scene(slug("single", e.takes[0].id), "single", (e,), _single_captions(table[e.label])) for e in events
    ]
    return singles + _mixtures(events, table, f"{SEED}/{split}", mixtures)


def build(store: Store) -> tuple[list[Scene], list[Scene]]:
    """(test, train) by take group within each class; a class without both is left out."""
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    test: list[Clip] = []
    train: list[Clip] = []
    taken: set[str] = set()
    for label, words in table.items():
        clips = [c for c in _clips(store, label, words["sources"]) if c.id not in taken]
        taken |= {c.id for c in clips}
        held = _test_groups(clips)
        test += [c for c in clips if c.group in held]
        train += [c for c in clips if c.group not in held]
    test, train = deduplicate(test, train)
    both = {c.fields["label"] for c in test} & {c.fields["label"] for c in train}
    test, train = ([c for c in side if c.fields["label"] in both] for side in (test, train))
    return (
        _scenes(test, table, "test", TEST_PER_CLASS, TEST_MIXTURES),
        _scenes(train, table, "train", TRAIN_PER_CLASS, TRAIN_MIXTURES),
    )
