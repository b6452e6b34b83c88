"""On a terminal progress is a bar and tables are drawn."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(arguments: list[str]) -> tuple[int, str]:
    """Exit code and everything the command wrote to a terminal 120 columns wide."""
    ours, theirs = os.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    running = subprocess.Popen(
        [sys.executable, "-m", "evalkit", *arguments], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says "input/output error" when the other side is closed.
            break
        written += part
    os.close(ours)
    return running.wait(timeout=60), written.decode()


def test_a_run_shows_a_bar_and_draws_its_table(place: Path, tones: Path) -> None:
    code, written = on_a_terminal(
        ["run", "--model", "failing_ear", "--tasks", "tones", "--include-path", str(tones)]
    )
    assert code == 1
    text = ESCAPES.sub("", written)
    assert "━━━" in text
    assert "10/10" in text
    assert "samples/s" in text
    assert "│ failing_ear │ tones │ accuracy % ↑ │" in text
    assert "\x1b[31mclosed" not in written


def test_markup_in_names_is_text(place: Path, tones: Path) -> None:
    text = (tones / "tones.yaml").read_text().replace("summary: Tones", 'summary: "[red]\\e[31mTones[/red]"')
    (place / "tones.yaml").write_text(text)
    code, written = on_a_terminal(["tasks", "--include-path", str(place)])
    assert code == 0
    assert "[red]Tones[/red]" in written
    assert "\x1b[31m" not in written
