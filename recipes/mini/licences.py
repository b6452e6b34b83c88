"""Licence of one file inside a package, read from its machine-readable debian/copyright."""

from __future__ import annotations

import fnmatch
from functools import cache
from pathlib import Path

from recipes.mini.packages import Package, Store

# Packages that mix licences within the folders used here, with how a path there reads in the copyright file.
MIXED = {
    "ufoai-sound": ("/sound/", "base/sound/"),
    "minetest-data": ("/minetest_game/", "mtg/"),
    "supertuxkart-data": ("/data/", "data/"),
    "sound-theme-freedesktop": ("/stereo/", "stereo/"),
}
SPDX = {
    "GPL-2": "GPL-2.0-only",
    "GPL-2+": "GPL-2.0-or-later",
    "GPL-3+": "GPL-3.0-or-later",
    "CC0-1.0": "CC0-1.0",
    "CC0": "CC0-1.0",
    "public-domain": "public-domain",
    "CC-BY-SA-3.0": "CC-BY-SA-3.0",
    "CC-BY-3.0": "CC-BY-3.0",
}


@cache
def _stanzas(path: Path) -> tuple[tuple[tuple[str, ...], str], ...]:
    """(file patterns, licence name) of each Files paragraph."""
    found = []
    for paragraph in path.read_text(encoding="utf-8").split("\n\n"):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line[:1].isspace():
                fields[key] = fields.get(key, "") + " " + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                fields[key] = value.strip()
        if "Files" in fields and "License" in fields:
            found.append((tuple(fields["Files"].split()), fields["License"].split()[0]))
    return tuple(found)


def licence_of(store: Store, package: Package, inner: str) -> str:
    """SPDX name for one file; the package's own licence unless the copyright file says otherwise."""
    if package.name not in MIXED:
        return package.license
    copyright_file = store.open(package.name) / "usr/share/doc" / package.name / "copyright"
    before, after = MIXED[package.name]
    tail = after + f"/{inner}".rsplit(before, 1)[-1]
    for patterns, name in reversed(_stanzas(copyright_file)):
        if any(fnmatch.fnmatch(tail, p) for p in patterns):
            return SPDX.get(name, name)
    return package.license
