"""The pages on adding things, followed literally: their files are written and their commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Followed:
    """A page, its steps taken one after the other in a folder of their own."""

    folder: Path
    site: Path

    def page(self, name: str) -> str:
        printed = []
        for language, file, body in BLOCK.findall((DOCS / name).read_text()):
            if file:
                path = self.folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(body)
            elif language == "bash":
                printed += [self.run(line) for line in body.splitlines()]
        return "\n".join(printed)

    def run(self, line: str) -> str:
        program, *arguments = shlex.split(line)
        if program == "pip":
            arguments += ["--target", str(self.site), "--no-index"]
        command = [
            sys.executable,
            *({"python": [], "evalkit": ["-m", "evalkit"], "pip": ["-m", "pip"]}[program]),
        ]
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    for name in ("work", "site"):
        (tmp_path / name).mkdir()
    return Followed(tmp_path / "work", tmp_path / "site")


def test_adding_a_task(followed: Followed) -> None:
    printed = followed.page("adding-a-task.md")
    assert "tones.yaml: ok" in printed
    assert "n: 12" in printed
    rows = [line.split() for line in printed.splitlines()]
    [majority] = [row for row in rows if row[:2] == ["majority", "tones"] and "accuracy" in " ".join(row)][:1]
    assert "50.0" in majority or "0.500" in majority, majority
    assert (followed.folder / "runs").is_dir()


def test_adding_a_metric(followed: Followed) -> None:
    printed = followed.page("adding-a-metric.md")
    assert "terse" in printed
    assert re.search(r"66\.7|0\.667", printed), printed
