"""Runs of tiny models, made once and copied for every test that changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from talkers import Talker, naming, run, transcription, write_clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "data"
    write_clips(folder)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Path:
    """`dense` gets half of the clips wrong, `moe` one; both have failed on clip 23."""
    output = tmp_path_factory.mktemp("made") / "runs"
    for model in (Talker("dense", range(12), fails=[23]), Talker("moe", [3], fails=[23])):
        for task in (transcription(clips), naming(clips)):
            run(model, task, output)
    return output


@pytest.fixture
def runs(made_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made_once, tmp_path / "runs"))
