"""docs/adding-a-model.md, followed to the letter: its files are saved, its commands are typed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs/adding-a-model.md"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Typist:
    """Types the commands of a page where a test wants them, with the packages they install in a folder of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        site = str(place / "site")
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([site, os.environ.get("PYTHONPATH", "")]),
            "PIP_TARGET": site,
            # Nothing is downloaded: the page's package needs only setuptools, which torch brings.
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def type(self, line: str) -> str:
        program, *arguments = shlex.split(line)
        module = {"evalkit": "evalkit", "pip": "pip"}[program]
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=590,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Typist, dict[str, str]]:
    """The page after all of its commands, and what each printed."""
    typist = Typist(tmp_path_factory.mktemp("page"))
    printed: dict[str, str] = {}
    for language, file, text in BLOCK.findall(DOCS.read_text(encoding="utf-8")):
        if file:
            (typist.place / file).parent.mkdir(parents=True, exist_ok=True)
            (typist.place / file).write_text(text, encoding="utf-8")
        elif language == "bash":
            for line in text.splitlines():
                printed[line] = typist.type(line)
    return typist, printed


Typed = tuple[Typist, dict[str, str]]


def test_the_card_shows_what_it_says(typed: Typed) -> None:
    shown = typed[1]["evalkit models show my_whisper.yaml"]
    assert "model: openai/whisper-large-v3" in shown
    assert "loader: whisper" in shown


def test_the_installed_package_is_found_like_evalkits_own_models(typed: Typed) -> None:
    typist, printed = typed
    assert "status: example" in printed["evalkit models show loudness"]
    names = [record["name"] for record in json.loads(typist.type("evalkit models --json"))]
    assert {"loudness", "moe_adapter", "whisper_base"} <= set(names)


def test_its_model_runs_and_its_arguments_reach_it(typed: Typed) -> None:
    typist, printed = typed
    (table,) = (text for line, text in printed.items() if line.startswith("evalkit run"))
    assert "loudness" in table
    assert "none" in table.split("8 (partial)")[1].splitlines()[0]  # no failures
    (folder,) = (typist.place / "runs" / "loudness").iterdir()
    assert len((folder / "samples.jsonl").read_text().splitlines()) == 8


def test_the_page_names_every_way_in() -> None:
    page = DOCS.read_text(encoding="utf-8")
    ways = ("hf:ORG/NAME", "openai:NAME --base-url", "predictions:", "--model-args", "trust_remote_code")
    assert [way for way in ways if way not in page] == []
