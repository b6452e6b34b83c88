"""What the harness itself costs: whole runs with a model that takes no time, per sample.

    python benchmarks/overhead.py --samples 1000 10000 --out overhead.json

Every run is a process of its own, so that its peak memory is its own. `text` has no audio; `audio` reads,
hashes and decodes a file of 0.1 s a sample. `resume` is the same command on a complete journal. Processor
seconds stand beside the others, for machines that are busy with something else. JSON goes to stdout or --out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
import soundfile

from evalkit.model import ModelInfo, Prepared, Request, Response
from evalkit.runner import RunSettings, run_task
from evalkit.tasks.schema import MetricSpec, Task

DISTINCT_CLIPS = 100


class FreeModel:
    """Answers at once."""

    info = ModelInfo("free", "0" * 64, "cpu", "float32")

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, None, 1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [Response(text=one.request.sample_id, input_tokens=8, output_tokens=8) for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [Response(choice_logprobs=(0.0,) * len(one.request.choices)) for one in batch]


def write_data(folder: Path, samples: int) -> None:
    """A JSONL data set; its rows have a hundred recordings, each row as a file of its own."""
    rng = np.random.default_rng(0)
    for clip in range(DISTINCT_CLIPS):
        soundfile.write(folder / f"{clip}.wav", rng.uniform(-0.5, 0.5, 1_600).astype(np.float32), 16_000)
    with (folder / "test.jsonl").open("w", encoding="utf-8") as file:
        for index in range(samples):
            name = f"{index:07d}"
            (folder / f"{name}.wav").hardlink_to(folder / f"{index % DISTINCT_CLIPS}.wav")
            row = {"id": name, "audio": f"{name}.wav", "text": f"answer {index}"}
            file.write(json.dumps(row) + "\n")


def task_over(folder: Path, kind: str) -> Task:
    return Task(
        name=f"overhead_{kind}",
        path=folder / "task.yaml",
        dataset_path="test.jsonl",
        doc_to_audio=("audio",) if kind == "audio" else (),
        doc_to_text="Transcribe the speech.",
        doc_to_target="text",
        metrics=(MetricSpec("wer"),),
    )


def measure(folder: Path, kind: str, batch_size: str) -> dict[str, Any]:
    """One run in this process, then the same again on its finished journal."""
    task = task_over(folder, kind)
    settings = RunSettings(
        folder / "runs" / batch_size, batch_size="auto" if batch_size == "auto" else int(batch_size)
    )
    began, cpu_began = time.perf_counter(), time.process_time()
    done = run_task(FreeModel(), task, settings)
    ran, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, cpu_began = time.perf_counter(), time.process_time()
    run_task(FreeModel(), task, settings)
    return {
        "samples": len(done.entries),
        "kind": kind,
        "batch_size": batch_size,
        "seconds": round(ran, 3),
        "cpu_seconds": round(cpu, 3),
        "samples_per_second": round(len(done.entries) / ran),
        "resume_seconds": round(time.perf_counter() - began, 3),
        "resume_cpu_seconds": round(time.process_time() - cpu_began, 3),
        "peak_mib": round(peak),
    }


def measure_apart(folder: Path, kind: str, batch_size: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", str(folder), kind, batch_size]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description="what the harness itself costs a sample")
    parser.add_argument("--samples", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--batch-size", nargs="+", default=["auto"])
    parser.add_argument(
        "--folder", type=Path, default=None, help="where to put the data (default: a temporary folder)"
    )
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--measure", nargs=3, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, kind, batch_size = options.measure
        print(json.dumps(measure(Path(folder), kind, batch_size)))
        return
    runs = []
    for samples in options.samples:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            write_data(Path(name), samples)
            for kind in ("text", "audio"):
                runs += [measure_apart(Path(name), kind, batch_size) for batch_size in options.batch_size]
    report.write({"benchmark": "overhead", **report.machine(), "runs": runs}, options.out)


if __name__ == "__main__":
    main()
