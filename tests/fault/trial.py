"""evalkit commands, one after another, in a process that watches what they do: `trial.py ORDERS REPORT`.

ORDERS is JSON: the commands, the folder in which they may write, the folder whose files must not be run as
code, and a limit of memory. Every command goes through the same `main` as on a command line. REPORT gets one
line of JSON for each.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

# Of processor time, so that a busy machine makes no command hang; of waiting, a multiple.
SECONDS, WAITING = 60, 600
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}
NEVER = {
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "socket.getaddrinfo",
}


class Hung(BaseException):
    """The command took too long."""


class Watch:
    """An audit hook (PEP 578): what Python code does that data must never bring about."""

    def __init__(self, writable: Path, data: Path) -> None:
        self.writable = os.path.realpath(writable)
        self.data = os.path.realpath(data)
        self.seen: list[str] = []
        self.on = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event in NEVER:
            self.seen.append(f"{event} {args!r:.200}")
        elif event == "subprocess.Popen" and os.path.basename(str(args[0])) != "git":  # noqa: PTH119
            self.seen.append(f"started {args[0]}")
        elif (
            event == "exec" and isinstance(args[0], CodeType) and self._within(args[0].co_filename, self.data)
        ):
            self.seen.append(f"ran {args[0].co_filename}")
        elif (event == "open" and (args[2] or 0) & WRITING) or event in CHANGES:
            self._check_place(event, args)

    def _check_place(self, event: str, args: tuple[Any, ...]) -> None:
        for path in args[:2] if event in {"os.rename", "os.link"} else args[:1]:
            if isinstance(path, str | bytes | os.PathLike):
                text = os.fsdecode(path)
                if event != "open" or args[2] & os.O_NOFOLLOW:  # a link at the end is not followed
                    text = str(Path(text).parent)
                own = text == os.devnull or text.startswith("/proc/self/")  # as of the peak of memory
                if not own and not self._within(text, self.writable):
                    self.seen.append(f"{event} {text}")

    def _within(self, path: str, folder: str) -> bool:
        if path.startswith("<"):  # code made from text, such as `<string>`
            return False
        real = os.path.realpath(path)
        return real == folder or real.startswith(folder + os.sep)


def attempt(arguments: list[str], watch: Watch) -> dict[str, Any]:
    from evalkit.cli.main import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before, watch.seen = (sys.stdout, sys.stderr), []
    sys.stdout, sys.stderr = out, err
    found: dict[str, Any] = {"code": None, "raised": ""}
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING)
    watch.on = True
    try:
        main(arguments)
    except SystemExit as exit_:
        found["code"] = exit_.code
    except Hung:
        found["raised"] = f"hung for {time.monotonic() - began:.0f} s"
    except BaseException:
        found["raised"] = traceback.format_exc()
    finally:
        watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        sys.stdout, sys.stderr = before
    for name, stream in (("out", out), ("err", err)):
        found[name] = stream.buffer.getvalue().decode("utf-8", errors="surrogateescape")  # type: ignore[attr-defined]
    return found | {"did": watch.seen, "seconds": round(time.monotonic() - began, 2)}


def hang_up(signum: int, frame: FrameType | None) -> None:
    raise Hung


def main() -> None:
    orders = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for module in orders["imports"]:
        __import__(module)
    resource.setrlimit(getattr(resource, orders["limit"]), (orders["bytes"], orders["bytes"]))
    for timer in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(timer, hang_up)
    watch = Watch(Path(orders["writable"]), Path(orders["data"]))
    sys.addaudithook(watch)
    with Path(sys.argv[2]).open("w", encoding="utf-8") as report:
        for arguments in orders["commands"]:
            found = attempt(arguments, watch)
            found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            report.write(json.dumps(found) + "\n")
            report.flush()


if __name__ == "__main__":
    main()
