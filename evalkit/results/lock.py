"""One process at a time in a run folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.results.files import open_here

LOCK_NAME = ".lock"


class RunLockedError(OSError):
    """Another process works in this run folder."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; the system frees it when the process ends, however it ends.

    The file stays behind: deleting a lock file lets two processes hold it. Raises RunLockedError, or
    OSError where it cannot be made.
    """
    path = folder / LOCK_NAME
    descriptor = open_here(path, os.O_RDWR | os.O_CREAT)
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.pread(descriptor, 32, 0).decode("ascii", errors="replace").strip()
        who = f"process {pid}" if pid.isdigit() else "another process"
        raise RunLockedError(
            f"{path.parent}: {who} is running here; wait until it ends, stop it, or choose another --output"
        ) from error
    except OSError as error:
        raise RunLockedError(
            f"{path}: this file system cannot lock files ({error.strerror}); choose another --output"
        ) from error
