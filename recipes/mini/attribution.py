"""Attribution and licence notes beside the committed clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from recipes.mini.packages import Package

LICENSE_LINKS = {
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/legalcode",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/legalcode",
    "GPL-2.0-only": "https://www.gnu.org/licenses/old-licenses/gpl-2.0.txt",
    "GPL-2.0-or-later": "https://www.gnu.org/licenses/old-licenses/gpl-2.0.txt",
    "GFDL-1.3-or-later": "https://www.gnu.org/licenses/fdl-1.3.txt",
    "GPL-3.0-or-later": "https://www.gnu.org/licenses/gpl-3.0.txt",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "MIT": "the soundfont's licence: https://opensource.org/license/mit",
    "public-domain": "no licence needed",
}
AUTHORS = {
    "asterisk-core-sounds-en-wav": "recorded by Allison Smith (theivrvoice.com), funded by Digium, Inc.",
    "asterisk-core-sounds-es-wav": "recorded by Allison Smith (theivrvoice.com), funded by Digium, Inc.",
    "asterisk-core-sounds-fr-wav": "recorded by June Wallack (junewallack.com), Digium, Inc. and others",
    "asterisk-core-sounds-it-wav": "recorded by Carlo Flora (carloflora.com)",
    "asterisk-core-sounds-ru-wav": "provided by Maxim Topal (ivrvoice.ru)",
    "openarena-data": "the OpenArena team",
    "openarena-081-players": "the OpenArena team",
    "openarena-081-players-mature": "the OpenArena team",
    "openarena-088-data": "the OpenArena team",
    "nexuiz-data": "Alientrap, Lee Vermeulen and contributors",
    "redeclipse-data": "the Red Eclipse Team",
    "ufoai-sound": "the UFO:AI team and contributors",
    "wesnoth-1.16-data": "David White and the Battle for Wesnoth contributors",
    "megaglest-data": "the MegaGlest team",
    "flare-game": "Clint Bellanger and others",
    "hedgewars-data": "Andrey Korotaev and the Hedgewars contributors",
    "0ad-data": "Wildfire Games",
    "widelands-data": "the Widelands Development Team",
    "minetest-data": "Perttu Ahola and the Minetest contributors",
    "lincity-ng-data": "I J Peters, Greg Sharp, Corey Keasling and the LinCity-NG team",
    "supertuxkart-data": "the SuperTuxKart team",
    "sound-theme-freedesktop": "the authors named in the package's copyright file",
    "gcompris-qt-data": "the GCompris contributors",
    "fluid-soundfont-gm": "Frank Wen (Fluid R3 soundfont)",
    "music21": "tunes of Ryan's Mammoth Collection (1883), transcribed by Ray Davies",
    "tuxpaint-stamps-default": "the Tux Paint stamps contributors",
}
# Licences that ask for their full text: (name beside the data, name in Debian's base system).
FULL_TEXT = {
    "GPL-2.0-only": ("GPL-2.0.txt", "GPL-2"),
    "GPL-2.0-or-later": ("GPL-2.0.txt", "GPL-2"),
    "GPL-3.0-or-later": ("GPL-3.0.txt", "GPL-3"),
    "GFDL-1.3-or-later": ("GFDL-1.3.txt", "GFDL-1.3"),
}
COMMON_LICENSES = Path("/usr/share/common-licenses")
CHANGED = (
    "Changed here: resampled to 16 kHz, mixed to one channel and encoded as Opus at about 32 kbit/s. "
    "The originals are in the named Debian source packages."
)


def _copy_text(folder: Path, name: str, source: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes((COMMON_LICENSES / source).read_bytes())


def write(folder: Path, task: str, origins: Sequence[tuple[Package, str]]) -> None:
    """Write `ATTRIBUTION.md` and `LICENSE.txt`; `origins` has (package, licence) of each recording."""
    by_package: dict[tuple[str, str, str], int] = defaultdict(int)
    for package, licence in origins:
        by_package[package.name, package.version, licence] += 1
    lines = [f"# Where the clips of `{task}` come from", "", CHANGED, ""]
    lines += ["| package | version | by | licence | recordings |", "|---|---|---|---|---|"]
    for (name, version, licence), count in sorted(by_package.items()):
        lines.append(f"| {name} | {version} | {AUTHORS[name]} | {licence} | {count} |")
    (folder / "ATTRIBUTION.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    licences = sorted({licence for _, licence in origins})
    for name in licences:
        if name in FULL_TEXT:
            _copy_text(folder.parent / "licenses", *FULL_TEXT[name])
    text = ["Each clip keeps the licence of its source; the field `license` of its row names it.", ""]
    text += [f"{name}: {LICENSE_LINKS[name]}" for name in licences]
    text += ["", "No warranty of any kind. See ATTRIBUTION.md for authors and sources;"]
    text += ["full texts of the GPL and the GFDL are in ../licenses."]
    (folder / "LICENSE.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
