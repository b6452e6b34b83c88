"""Writing files so that a reader sees the old content or the new, and naming them safely."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from evalkit.results.fingerprint import fp8, sha256_of

MAX_NAME_BYTES = 120


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name, flush to disk, rename. A failure leaves `path` as it was."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with open(open_here(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise type(error)(error.errno, f"cannot write {path}: {error.strerror}") from error
    flush_folder(path.parent)


def open_here(path: Path, flags: int) -> int:
    """A descriptor of the file at `path` itself: a link there is refused, for it may lead out of the folder.

    Folders come from elsewhere, and what is written through a link in one would change another file.
    """
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(
                errno.ELOOP, f"cannot write {path}: it is a link, which is not followed; remove it"
            ) from error
        raise


def flush_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def safe_name(name: str) -> str:
    """A single folder name for `name`: letters, digits and `._+-` stay, everything else becomes `_`.

    It is never empty, hidden, `.` or `..`; a name that is too long is cut and gets a hash.
    """
    kept = "".join(char if char.isalnum() or char in "._+-" else "_" for char in name)
    kept = "_" * (len(kept) - len(kept.lstrip("."))) + kept.lstrip(".")
    encoded = kept.encode("utf-8")
    if len(encoded) > MAX_NAME_BYTES:
        kept = encoded[:MAX_NAME_BYTES].decode("utf-8", errors="ignore") + "-" + fp8(sha256_of(name))
    return kept or "_"
