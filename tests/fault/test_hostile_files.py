"""Data files, task files, cards, checkpoints and records that are broken or malicious: each is one message."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hostile_manifests import write_manifests
from hostile_records import write_journals, write_predictions, write_records
from hostile_weights import write_checkpoints
from hostile_yaml import write_yaml
from parrots import write_card, write_task
from trials import Trial, attempt, broken

pytestmark = [pytest.mark.fault, pytest.mark.security]
Survived = Callable[[str, int], None]


@pytest.fixture(scope="module")
def clip() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(800, 0.1, np.float32), 16_000, format="WAV")
    return file.getvalue()


def test_data_files(tmp_path: Path, site: Path, clip: bytes, survived: Survived) -> None:
    card = write_card(tmp_path / "parrot.yaml")
    trials = write_manifests(tmp_path / "manifests", clip, card)
    assert not broken(attempt(tmp_path, trials, site))
    survived("hostile inputs: manifests", len(trials))


def test_task_files_and_cards(tmp_path: Path, site: Path, clip: bytes, survived: Survived) -> None:
    trials = write_yaml(tmp_path / "yaml", clip)
    assert not broken(attempt(tmp_path, trials, site))
    assert not list(tmp_path.rglob("canary"))
    survived("hostile inputs: YAML", len(trials))


def test_checkpoints(tmp_path: Path, site: Path, clip: bytes, survived: Survived) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "clip.wav").write_bytes(clip)
    (data / "test.jsonl").write_text('{"id": "a", "audio": "clip.wav", "text": "hello"}\n')
    trials = write_checkpoints(tmp_path / "weights", write_task(tmp_path / "one.yaml", "data"))
    # torch maps more than it takes, so the limit is on private memory.
    modules = ("torch", "safetensors.torch", "model_adapters.audio_llm.importing.convert")
    outcomes = attempt(tmp_path, trials, site, imports=modules, limit="RLIMIT_DATA")
    assert not broken(outcomes)
    assert not list(tmp_path.rglob("canary"))
    assert not list((tmp_path / "work/cache/models").glob("[!.]*"))
    survived("hostile inputs: checkpoints", len(trials))


def test_predictions(tmp_path: Path, site: Path, survived: Survived) -> None:
    trials = write_predictions(tmp_path / "predictions")
    assert not broken(attempt(tmp_path, trials, site))
    survived("hostile inputs: predictions, journals and records", len(trials))


@pytest.mark.slow
def test_journals_and_records(tmp_path: Path, site: Path, clip: bytes, survived: Survived) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "clip.wav").write_bytes(clip)
    rows = [{"id": f"s{n}", "audio": "clip.wav", "text": "one two"} for n in range(4)]
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    card = write_card(tmp_path / "parrot.yaml")
    task = write_task(tmp_path / "four.yaml", "data")
    arguments = ("run", "--model", str(card), "--tasks", str(task))
    work = tmp_path / "work"
    assert not broken(attempt(tmp_path, [Trial("whole", (*arguments, "--output", str(work)), "fine")], site))
    (run,) = (path.parent for path in work.rglob("result.json"))
    journals, records = write_journals(work, run, arguments), write_records(work, run)
    outcomes = attempt(tmp_path, [*journals, *records], site)
    assert not broken(outcomes)
    assert (tmp_path / "precious").read_text() == "one precious line"

    whole = json.loads((run / "result.json").read_bytes())
    for number, outcome in enumerate(outcomes[: len(journals)]):
        place = work / f"j{number:02d}" / run.parent.name / run.name
        if outcome.code == 0:
            ids = [json.loads(line)["id"] for line in (place / "samples.jsonl").read_text().splitlines()]
            assert sorted(ids) == sorted(row["id"] for row in rows), outcome.trial.name
            if "answered" not in outcome.trial.name:
                made = json.loads((place / "result.json").read_bytes())
                assert made["metrics"] == whole["metrics"], outcome.trial.name
    survived("hostile inputs: predictions, journals and records", len(journals) + len(records))
