"""A command line to call, and a package that brings a tiny model, as an installed one would.

The model listens: it tells high tones from low ones by their zero crossings. Its card says how it is to
misbehave.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evalkit.cli.main import main

MODEL = """
import time
from dataclasses import dataclass, field

import numpy as np

from evalkit.model import ModelInfo, Prepared, Response

calls = []


@dataclass
class Ear:
    info: ModelInfo
    config: dict = field(default_factory=dict)
    answered: int = 0

    def prepare(self, request):
        return Prepared(request, request.audios[0].samples if request.audios else None, 1)

    def generate(self, batch):
        return [self.answer(item) for item in batch]

    def answer(self, item):
        self.answered += 1
        calls.append(item.request.sample_id)
        if self.answered == self.config.get("interrupted_at"):
            raise KeyboardInterrupt
        time.sleep(self.config.get("seconds", 0.0))
        if item.request.sample_id in self.config.get("fails_on", []):
            raise RuntimeError("the ear is \\x1b[31mclosed")
        if item.payload is None or not np.any(item.payload):
            return Response(text="nothing")
        crossings = np.mean(np.diff(np.signbit(item.payload)))
        return Response(text="high" if crossings > 0.1 else "low", input_tokens=1, output_tokens=1)


def load(card, options):
    if options.args:
        raise ValueError(f"{card.name} takes no --model-args, but got {', '.join(options.args)}")
    return Ear(ModelInfo(card.name, f"ear {card.name}", "cpu", "float32", 3, 2), dict(card.config))


def convert(source, name, folder, mapping):
    (folder / name).mkdir()
    (folder / name / "card.yaml").write_text(f"name: {name}\\nloader: ears\\n")
    return "nothing was matched"
"""
CARDS = {
    "good_ear": "{}",
    "failing_ear": "{fails_on: [tone3, tone4]}",
    "interrupted_ear": "{interrupted_at: 4}",
    "slow_ear": "{seconds: 0.4}",
}
TASK = """
task: tones
tag: [hearing]
dataset_path: data
test_split: test
doc_to_audio: audio
doc_to_text: "High or low?"
doc_to_target: pitch
output_type: generate_until
generation_kwargs: {max_gen_toks: 4}
metric_list:
  - {metric: accuracy}
metadata:
  version: 1
  evalkit: {family: music_qa, license: CC0-1.0, summary: Tones}
"""
TONES = 10


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `site-packages` has it, with the package `ears` and its cards."""
    folder = tmp_path_factory.mktemp("site")
    cards, info = folder / "ears_cards", folder / "ears-1.0.dist-info"
    cards.mkdir()
    info.mkdir()
    (folder / "ears.py").write_text(MODEL)
    for name, config in CARDS.items():
        (cards / f"{name}.yaml").write_text(
            f"name: {name}\nloader: ears\nlicense: CC0-1.0\nconfig: {config}\n"
        )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ears\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[evalkit.models]\nears = ears:load\n[evalkit.cards]\nears = ears_cards\n"
        "[evalkit.importers]\nears = ears:convert\n"
    )
    return folder


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the task `tones`: ten short clips, every other one high."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "data").mkdir()
    lines = []
    for number in range(TONES):
        pitch = "high" if number % 2 else "low"
        wave = np.sin(np.arange(1600) * 2 * np.pi * (4000 if number % 2 else 200 + number) / 16000)
        soundfile.write(folder / "data" / f"tone{number}.wav", 0.5 * wave, 16000)
        lines.append(f'{{"id": "tone{number}", "audio": "tone{number}.wav", "pitch": "{pitch}"}}\n')
    (folder / "data" / "test.jsonl").write_text("".join(lines))
    (folder / "tones.yaml").write_text(TASK)
    return folder


@pytest.fixture
def place(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an empty cache, with the package `ears` installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    )
    monkeypatch.delenv("EVALKIT_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def evalkit(place: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call the command line in this process: `evalkit("tasks", "list")`."""

    def call(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        printed = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Done(exit_.value.code, printed.out, printed.err)

    return call


@pytest.fixture
def process(place: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line as a process of its own."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "evalkit", *arguments]
        return subprocess.Popen(
            command,
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start
