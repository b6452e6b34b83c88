"""Non-verbal vocal expression: short cries and noises of game characters, labelled by file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from recipes.mini import audio, heldout
from recipes.mini.dedupe import deduplicate
from recipes.mini.licences import licence_of
from recipes.mini.packages import Store, files
from recipes.mini.rows import Clip, slug
from recipes.mini.text import words

# File-name word -> what a listener would call it.
LABELS = {
    "death": "dying cry",
    "pain": "cry of pain",
    "jump": "jump grunt",
    "drown": "drowning gurgle",
    "gasp": "gasp",
    "falling": "falling scream",
    "taunt": "taunt",
    "laugh": "laugh",
}
SHORTEST = 0.1
LONGEST = 10.0
# At most this many test clips of one class from one character, so that two classes do not swamp the rest.
TEST_CAP = 2
OPENARENA = ("openarena-data", "openarena-081-players", "openarena-081-players-mature", "openarena-088-data")
MEGAGLEST_HUMANS = words(
    "archer axe_thrower guard swordman technician worker archmage battlemage initiate summoner "
    "horseman spearman stickfighter valkyrie cudgel princess magician shaman carpet genie gladiator "
    "warrior"
)
FEMALE = set(words("angelyss arachna ayumi kyonshi liz neko fricka pyria-skadi valkyrie princess"))

# (package, pattern over inner paths, regex with groups `who` and `what`, group prefix)
PATTERNS: list[tuple[str, str, str, str]] = [
    *(
        (
            p,
            "*sound/player/*",
            r"/player/(?P<who>[^/]+)/(?P<what>death|pain|jump|drown|gasp|falling|taunt)[\d_]*",
            "oa",
        )
        for p in OPENARENA
    ),
    (
        "nexuiz-data",
        "*sound/player/*",
        r"/player/(?P<who>[^/]+)/(?:player/)?(?P<what>death|pain|jump|drown|gasp|falling|taunt)[\d_]*",
        "nx",
    ),
    ("redeclipse-data", "*/sounds/player/*.ogg", r"/sounds/(?P<who>player)/(?P<what>death|pain)\d*", "re"),
    ("redeclipse-data", "*/sounds/voice/haha*.ogg", r"/sounds/(?P<who>voice)/(?P<what>haha)\d*", "re"),
    (
        "ufoai-sound",
        "*sound/soldiers/*.ogg",
        r"/(?P<who>soldiers/(?:fe)?male)(?P<what>death|hurt)\d*\w?",
        "ufo",
    ),
    (
        "ufoai-sound",
        "*sound/civilians/*.ogg",
        r"/(?P<who>civilians/(?:civ)?(?:fem|male))(?P<what>death|hurt)\d*\w?",
        "ufo",
    ),
    (
        "wesnoth-1.16-data",
        "*/core/sounds/*",
        r"/(?P<who>human|human-female|human-old|dwarf|elf|mermaid|mermen)-(?P<what>hit|die|laugh)[-\d]*",
        "wes",
    ),
    ("megaglest-data", "*/megapack/*", r"/(?P<who>[a-z_]+?)_(?P<what>die)\d*", "mg"),
    ("flare-game", "*/soundfx/*male_*.ogg", r"/(?P<who>(?:fe)?male)_(?P<what>die|hit|critdie)\d*", "flare"),
    ("0ad-data", "*/human/death/*.ogg", r"/human/death/(?P<who>(?:fe)?male)?_?(?P<what>death)\w*", "0ad"),
    (
        "hedgewars-data",
        "*/Sounds/voices/*.ogg",
        r"/voices/(?P<who>[^/]+)/(?P<what>Ow|Ooff|Ouch|Laugh)\d*",
        "hw",
    ),
]
WORDS = {
    "die": "death",
    "critdie": "death",
    "hit": "pain",
    "hurt": "pain",
    "haha": "laugh",
    "ow": "pain",
    "ooff": "pain",
    "ouch": "pain",
}
UNKNOWN = "0ad"


def _gender(prefix: str, who: str) -> str:
    if prefix in ("ufo", "wes", "flare", "0ad"):
        return "female" if re.search("fem|mermaid", who) else "male" if "male" in who else "unknown"
    return "female" if who in FEMALE else "unknown"


def _clip(store: Store, package: str, name: str, file: Path, prefix: str, who: str, what: str) -> Clip:
    what = WORDS.get(what.lower(), what.lower())
    group = f"{prefix}_{who}" if prefix != UNKNOWN else "0ad_unknown"
    spec = store.table[package]
    return Clip(
        id=slug("vocal", group, Path(name).stem),
        package=spec,
        path=name,
        file=file,
        group=group,
        license=licence_of(store, spec, name),
        fields={"label": LABELS[what]},
        notes={"file_label": what, "gender": _gender(prefix, who)},
    )


def collect(store: Store) -> Iterator[Clip]:
    """Every labelled clip of usable length, in a fixed order."""
    seen: set[str] = set()
    for package, pattern, regex, prefix in PATTERNS:
        compiled = re.compile(regex + r"\.(?:wav|ogg)$")
        for name, file in files(store.open(package), pattern):
            match = compiled.search(name)
            if match is None or not SHORTEST <= audio.duration(file) <= LONGEST:
                continue
            who = (match["who"] or "").replace("/", "_")
            if prefix == "mg" and who not in MEGAGLEST_HUMANS:
                continue
            clip = _clip(store, package, name, file, prefix, who, match["what"])
            if clip.id in seen:  # the same file name of one character in two places: keep the first
                continue
            seen.add(clip.id)
            yield clip


def capped(clips: list[Clip]) -> list[Clip]:
    """Test clips with at most TEST_CAP of one class and character."""
    counts: Counter[tuple[str, str]] = Counter()
    kept = []
    for clip in clips:
        key = (clip.group, clip.fields["label"])
        counts[key] += 1
        if counts[key] <= TEST_CAP:
            kept.append(clip)
    return kept


def build(store: Store) -> tuple[list[Clip], list[Clip]]:
    """(test, train) by character, one copy of each recording."""
    clips = list(collect(store))
    test = [c for c in clips if heldout.is_test(c.group)]
    test, train = deduplicate(test, [c for c in clips if not heldout.is_test(c.group)])
    return capped(test), train
