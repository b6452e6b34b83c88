"""What a run records about its cost: memory at its peak, operations of the projector, how the model was loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.inside import Costed, ProjectorCost
from evalkit.model import LoadOptions
from evalkit.results import read_run
from evalkit.runner import RunSettings, run_task
from evalkit.runner.usage import peak_memory, projector_flops

PEAKS = """
import numpy as np
from evalkit.runner.usage import peak_memory, start_peak

held = np.ones(40_000_000)
print(peak_memory("cpu"))
del held
start_peak("cpu")
print(peak_memory("cpu"))
held = np.ones(20_000_000)
del held
print(peak_memory("cpu"))
"""


class Projecting(TinyModel):
    """A model whose projector takes 25 tokens of 4,000 operations for a second of audio."""

    def projector_cost(self) -> ProjectorCost:
        return ProjectorCost("dense", 2_000, 2_000, 4_000, (8, 8), 25.0)

    def run_projector(self, tokens: int) -> None:
        return None

    def at_paper_scale(self) -> Costed:
        return self


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux and CUDA can start the peak over")
def test_the_peak_starts_over_and_counts_what_was_let_go_again() -> None:
    # In a process of its own: what the system takes back from a large one would be counted too.
    found = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    start, low, high = map(int, found.stdout.split())
    assert start - low > 200 * 2**20
    assert 120 * 2**20 < high - low < 250 * 2**20


def test_a_server_has_no_memory_to_measure() -> None:
    assert peak_memory("remote") == 0


def test_operations_are_those_of_a_second_of_audio_and_none_are_made_up() -> None:
    assert projector_flops(Projecting()) == 100_000.0
    assert projector_flops(TinyModel()) == 0.0


def test_a_run_records_memory_operations_and_how_the_model_was_loaded(tmp_path: Path) -> None:
    options = LoadOptions(backbone="hub", args={"top_k": "2", "weights": str(Path.home() / "w")})
    settings = RunSettings(tmp_path / "runs", options=options)
    done = run_task(Projecting(), toy_task(tmp_path / "data", 4), settings)
    made = read_run(done.folder).provenance
    assert made.peak_memory > 10 * 2**20
    assert made.projector_flops == 100_000.0
    assert (made.backbone, dict(made.model_args)) == ("hub", {"top_k": "2", "weights": "~/w"})


def test_a_finished_run_keeps_what_was_measured(tmp_path: Path) -> None:
    task, settings = toy_task(tmp_path / "data", 4), RunSettings(tmp_path / "runs")
    first = run_task(TinyModel(), task, settings).run.provenance
    assert run_task(TinyModel(), task, settings).run.provenance == first
