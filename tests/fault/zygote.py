"""A process that forks evalkit commands and has them killed: `zygote.py MODULES [SETUP]`.

It imports once, so that a hundred kills take seconds. Orders come as lines of JSON on stdin: a folder to work
in, the arguments of `evalkit`, and when to die: before the so-many-th change of a file (in the middle of it,
for a write), or after so many seconds. Each is answered by a line with the exit status and the changes made.
SETUP is a function `module:name` that is called before the first order.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}


class Reaper:
    """Counts this process's changes of files and ends it, by SIGKILL, at the chosen one."""

    def __init__(self, kill_at: int, seed: int) -> None:
        self.kill_at = kill_at
        self.count = 0
        self.random = random.Random(seed)
        self.pwrite, self.fsync = os.pwrite, os.fsync
        os.pwrite, os.fsync = self._pwrite, self._fsync  # type: ignore[assignment]
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and bool((args[2] or 0) & WRITING) and str(args[0]) != os.devnull
        if writes or event in CHANGES:
            self._passes()

    def _passes(self) -> bool:
        self.count += 1
        if self.count == self.kill_at:
            self._die()
        return True

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)

    def _pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        self.count += 1
        if self.count == self.kill_at:
            part = bytes(data)[: self.random.randrange(len(data) + 1)]
            self.pwrite(descriptor, part, offset)
            self._die()
        return self.pwrite(descriptor, data, offset)

    def _fsync(self, descriptor: int) -> None:
        self._passes()
        self.fsync(descriptor)


def child(order: dict[str, Any], answer: int) -> NoReturn:
    os.chdir(order["folder"])
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    reaper = Reaper(order["kill_at"], order["seed"])
    from evalkit.cli.main import main

    code: Any = 70
    try:
        main(order["arguments"])
    except SystemExit as exit_:
        code = exit_.code
    finally:
        sys.stdout.flush()
        os.write(answer, str(reaper.count).encode())
        os._exit(code)


def obey(order: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        child(order, writing)
    os.close(writing)
    if order["after"] is not None:
        time.sleep(order["after"])
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading, "rb") as counted:
        count = counted.read()
    return {"code": os.waitstatus_to_exitcode(status), "changes": int(count or 0)}


def main() -> None:
    for module in sys.argv[1].split(","):
        importlib.import_module(module)
    if len(sys.argv) > 2:
        module, _, name = sys.argv[2].partition(":")
        getattr(importlib.import_module(module), name)(Path.cwd())
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
