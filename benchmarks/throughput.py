"""evalkit against a bare loop over ideal batches and a loop of one sample at a time; prints one JSON object.

    python benchmarks/throughput.py --model moe_adapter --tasks mini_asr_en,mini_vocal_expression --limit 32

All three ask the same loaded model the same questions with the same decoding. `evalkit` is a whole run:
reading, hashing, planning, batching, journal. `bare` has everything prepared beforehand and sorted by length,
and only calls the model, a full batch at a time. `one_by_one` prepares and answers a sample after the other.
They take turns, `--repeats` times; times are medians. Processor seconds stand beside the others: on a machine
that is busy with something else, compare those. What a run has encoded is forgotten before the next.
`agreement`: the share of answers that are the same as one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.cards import load_model, resolve_model
from evalkit.data import open_samples
from evalkit.model import LoadOptions, Model, Prepared, Request, Response
from evalkit.runner import RunSettings, run_task
from evalkit.runner.engine import Preparation
from evalkit.runner.items import work_items
from evalkit.runner.plan import budget_for
from evalkit.tasks import find_tasks
from evalkit.tasks.schema import Task

Answers = list[Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="moe_adapter")
    parser.add_argument("--tasks", default="mini_asr_en,mini_vocal_expression")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    model = load_model(resolve_model(options.model), LoadOptions(options.device, options.dtype))
    tasks = find_tasks([]).resolve(options.tasks)
    measured = {}
    for task in tasks:
        measured[task.name] = measure(model, task, options.limit, options.repeats)
        print(f"{task.name}: {json.dumps(measured[task.name])}", file=sys.stderr, flush=True)
    report = {
        "benchmark": "throughput",
        "model": options.model,
        "device": model.info.device,
        "dtype": model.info.dtype,
        "cores": os.cpu_count(),
        "threads": threads(),
        "python": platform.python_version(),
        "tasks": measured,
    }
    text = json.dumps(report, indent=2)
    if options.out is None:
        print(text)
    else:
        options.out.write_text(text + "\n", encoding="utf-8")


def measure(model: Model, task: Task, limit: int | None, repeats: int) -> dict[str, Any]:
    requests = asked(task, limit)
    loops: dict[str, Callable[[], Answers]] = {
        "evalkit": lambda: by_evalkit(model, task, limit),
        "bare": ideal_batches(model, requests),
        "one_by_one": lambda: [plain(call(model, [model.prepare(one())])[0]) for one in requests],
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    processor: dict[str, list[float]] = {name: [] for name in loops}
    answers: dict[str, Answers] = {}
    for turn in range(repeats):
        names = list(loops)
        for name in names[turn % 3 :] + names[: turn % 3]:
            forget(model)
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = loops[name]()
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - worked)
    wall = {name: statistics.median(times) for name, times in seconds.items()}
    cpu = {name: statistics.median(times) for name, times in processor.items()}
    return {
        "samples": len(requests),
        "seconds": {name: round(value, 2) for name, value in wall.items()},
        "cpu_seconds": {name: round(value, 2) for name, value in cpu.items()},
        "one_by_one_over_evalkit": round(wall["one_by_one"] / wall["evalkit"], 2),
        "one_by_one_over_evalkit_cpu": round(cpu["one_by_one"] / cpu["evalkit"], 2),
        "evalkit_over_bare": round(wall["evalkit"] / wall["bare"], 3),
        "evalkit_over_bare_cpu": round(cpu["evalkit"] / cpu["bare"], 3),
        "agreement": agreement(answers["evalkit"], answers["one_by_one"]),
    }


def asked(task: Task, limit: int | None) -> list[Callable[[], Request]]:
    """For every sample, what reads and decodes it and builds its request."""
    samples = open_samples(task, limit=limit) if limit else open_samples(task)
    preparation = Preparation(task, samples, "real")
    items = work_items(task, samples, "real", 0)
    return [lambda item=item: preparation.request(item) for item in items]  # type: ignore[misc]


def by_evalkit(model: Model, task: Task, limit: int | None) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        done = run_task(model, task, RunSettings(Path(folder), limit))
    return [plain(entry.response) for entry in done.entries]


def ideal_batches(model: Model, requests: Sequence[Callable[[], Request]]) -> Callable[[], Answers]:
    """The loop over batches that are ready, longest first, as large as evalkit makes them at most."""
    ready = [model.prepare(one()) for one in requests]
    order = sorted(range(len(ready)), key=lambda index: -ready[index].cost)
    size = budget_for("auto", model.info.device).samples

    def loop() -> Answers:
        found: dict[int, Any] = {}
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            responses = call(model, [ready[index] for index in batch])
            found |= {index: plain(one) for index, one in zip(batch, responses, strict=True)}
        return [found[index] for index in range(len(ready))]

    return loop


def call(model: Model, batch: Sequence[Prepared]) -> list[Response]:
    return model.score_choices(batch) if batch[0].request.choices else model.generate(batch)


def plain(response: Response) -> Any:
    """The text, or the likeliest choice."""
    scores = response.choice_logprobs
    return scores.index(max(scores)) if scores else response.text


def agreement(answers: Answers, others: Answers) -> float:
    return round(sum(a == b for a, b in zip(answers, others, strict=True)) / len(answers), 4)


def forget(model: Any) -> None:
    """Drop encoder states, so that no loop profits from the one before."""
    if hasattr(model, "parts"):
        from model_adapters.audio_llm.states import StateCache

        model.parts = replace(model.parts, states=StateCache())


def threads() -> int:
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    main()
