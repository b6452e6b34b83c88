"""A headless Chromium to open pages in, driven over the DevTools protocol through a pair of pipes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)
# Chromium reads its commands from descriptor 3 and writes to 4.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
TROUBLE = (
    "Runtime.exceptionThrown",
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Network.requestWillBeSent",
)


class Page:
    """One open page. `trouble` collects console messages, exceptions and requests to anywhere else."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb"), os.fdopen(write, "wb", buffering=0)
        self._count = 0
        self._session = ""
        self.trouble: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Load a file and wait until it is complete and has had a moment to complain."""
        loading = self.call("Page.navigate", url=path.resolve().as_uri())["loaderId"]
        while self.call("Page.getFrameTree")["frameTree"]["frame"]["loaderId"] != loading:
            time.sleep(0.02)
        while self.evaluate("document.readyState") != "complete":
            time.sleep(0.02)
        self.evaluate("new Promise(done => setTimeout(done, 50))")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited. RuntimeError if it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._read.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("Chromium has ended")
            read += byte
        message: dict[str, Any] = json.loads(read)
        if message.get("method") in TROUBLE:
            self._note(message["method"], message["params"])
        return message

    def _note(self, method: str, about: dict[str, Any]) -> None:
        url = about.get("request", {}).get("url", "")
        if method != "Network.requestWillBeSent":
            self.trouble.append(f"{method}: {json.dumps(about)[:1_000]}")
        elif not url.startswith(("file:", "data:", "about:")):
            self.trouble.append(f"request: {url}")


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A page of a new browser. Skips the test only where no Chromium is installed."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium is installed ({', '.join(PROGRAMS)}); on Debian: apt-get install chromium")
    to_browser, ours_out = _pipe()
    ours_in, from_browser = _pipe()
    launch = [sys.executable, "-c", LAUNCH, str(to_browser), str(from_browser)]
    browser = subprocess.Popen(
        [*launch, program, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(ours_in, ours_out)
    finally:
        browser.kill()
        browser.wait(timeout=30)


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors leave 3 and 4 free."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
