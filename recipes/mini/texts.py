"""What the synthetic speech says: prompts, stamp captions, fortunes and generated telephone sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Sequence

from recipes.mini import templates
from recipes.mini.packages import Store, files
from recipes.mini.text import Exclusion, order_key, words

SEED = "speech_synth/1"
# Share of each kind of text in every stretch of the list.
SHARES = {"prompt": 12, "recombined": 10, "telephone": 30, "sequence": 16, "fortune": 24, "caption": 8}
FORTUNE_FILES = words(
    "art computers cookie definitions drugs education fortunes food goedel humorists kids law linux "
    "linuxcookie literature love magic medicine men-women miscellaneous news paradoxum people pets "
    "platitudes politics science songs-poems sports startrek translate-me wisdom work zippy"
)


def captions(store: Store) -> list[str]:
    """English one-line descriptions of the Tux Paint stamps."""
    found = set()
    for _, path in files(store.open("tuxpaint-stamps-default"), "*/stamps/*.txt"):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        line = lines[0].strip() if lines else ""
        if 1 <= len(line.split()) <= 16 and re.fullmatch(r"[A-Za-z ,.'!?;:-]+", line):
            found.add(line)
    return sorted(found)


def fortunes(store: Store) -> list[str]:
    """Sentences of 3 to 14 plain words from the fortune files."""
    found = set()
    for package in ("fortunes", "fortunes-min"):
        for name, path in files(store.open(package), "*/games/fortunes/*"):
            if name.rsplit("/", 1)[-1] not in FORTUNE_FILES:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            for entry in text.split("\n%\n"):
                joined = " ".join(entry.split())
                for sentence in re.findall(r"[A-Z][^.!?]*[.!?](?=\s|$|\")", joined):
                    plain = re.fullmatch(r"[A-Za-z ,.'!?;:-]+", sentence)
                    shouted = re.search(r"\b[A-Z]{3,}\b|--|\b[A-Z]\.$", sentence)
                    if plain and not shouted and 3 <= len(sentence.split()) <= 14:
                        found.add(sentence)
    return sorted(found)


def recombined(prompts: Sequence[str]) -> Callable[[random.Random], str]:
    """A generator that joins pieces of two prompts, so that their words are heard in new places."""
    pieces = [p.strip(" .,") for text in prompts for p in re.split(r"(?<=[,.])\s", text)]
    pieces = sorted({p for p in pieces if 1 <= len(p.split()) <= 9})

    def make(rng: random.Random) -> str:
        first, second = rng.sample(pieces, 2)
        if rng.random() < 0.4:
            words = f"{first} {second}".lower().replace(",", "").replace(".", "").split()
            return " ".join(rng.sample(words, min(len(words), rng.randint(2, 7))))
        return f"{first[0].upper()}{first[1:]}. {second[0].upper()}{second[1:]}."

    return make


def plan(
    store: Store, train_prompts: Sequence[str], test_texts: Collection[str], count: int
) -> list[tuple[str, str]]:
    """(kind, text) of `count` utterances; item i depends on i and the sources only."""
    exclusion = Exclusion(test_texts)
    makers: dict[str, Callable[[random.Random], str]] = {
        "telephone": templates.telephone,
        "sequence": templates.sequence,
        "recombined": recombined(train_prompts),
    }
    pools = {"prompt": sorted(set(train_prompts)), "caption": captions(store), "fortune": fortunes(store)}
    for kind, pool in pools.items():
        kept = [t for t in pool if not exclusion.hits(t)]
        pools[kind] = sorted(kept, key=lambda t, k=kind: order_key(SEED + k, t))  # type: ignore[misc]
    used = dict.fromkeys(pools, 0)
    cycle = [kind for kind, share in SHARES.items() for _ in range(share)]
    random.Random(SEED).shuffle(cycle)
    planned = []
    for i in range(count):
        kind = cycle[i % len(cycle)]
        if kind in pools:
            planned.append((kind, pools[kind][used[kind] % len(pools[kind])]))
            used[kind] += 1
            continue
        rng = random.Random(f"{SEED}/{i}")
        text = makers[kind](rng)
        while exclusion.hits(text):
            text = makers[kind](rng)
        planned.append((kind, text))
    return planned
