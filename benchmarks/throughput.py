"""evalkit against a bare loop over ideal batches and two loops of one sample at a time.

    python benchmarks/throughput.py --model moe_adapter --tasks mini --repeats 3 --out throughput.json

All ask the same weights the same questions about the same clips, with the same decoding:

evalkit     a whole run: reading, hashing, planning, batching, journal
bare        the batches that evalkit plans, prepared beforehand; only the model is called, one after the other
one_by_one  the same model, a sample after the other: prepare, answer. It profits from packed weights, short
            windows, the encoder cache and choices scored in one pass, so it shows what batching alone brings
plain       the naive loop: transformers' own modules, a sample after the other (see plain.py)

The loops take turns, --repeats times, and begin with another one each time; what is encoded in one is forgotten
before the next. Seconds are medians; ratios are medians of the ratios of each turn. Processor seconds stand
beside them: on a machine that is busy with something else, compare those. --sampled N asks the last two loops N
samples of a task, drawn by a fixed seed, and counts their time as if they were asked all of them.
`same`: the share of answers that evalkit and the other loop have in common.

With --out the report grows by a task at a time, and the same command again does what is left.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import report
from plain import PlainModel

from evalkit.cards import load_model, resolve_model
from evalkit.data import open_samples
from evalkit.model import LoadOptions, Model, Prepared, Request, Response
from evalkit.runner import RunSettings, run_task
from evalkit.runner.engine import Preparation
from evalkit.runner.items import WorkItem, work_items
from evalkit.runner.plan import budget_for, plan_batches
from evalkit.runner.recordings import Recordings
from evalkit.tasks import find_tasks
from evalkit.tasks.schema import Task

LOOPS = ("evalkit", "bare", "one_by_one", "plain")
SAMPLED = ("one_by_one", "plain")
WARM_UP = 2

Answers = list[Any]


@dataclass(frozen=True, slots=True)
class Loop:
    """run: asks the samples at `places` and returns their answers in that order."""

    places: Sequence[int]
    run: Callable[[], Answers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="moe_adapter")
    parser.add_argument("--tasks", default="mini")
    parser.add_argument("--limit", type=int, default=None, help="only the first so many samples of a task")
    parser.add_argument("--loops", default=",".join(LOOPS))
    parser.add_argument("--sampled", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    names = options.loops.split(",")
    if names[0] != "evalkit" or not set(names) <= set(LOOPS):
        parser.error(f"--loops {options.loops}: expected evalkit and any of {', '.join(LOOPS[1:])}")
    card, load = resolve_model(options.model), LoadOptions(options.device, options.dtype)
    model = load_model(card, load)
    naive = PlainModel(card, load) if "plain" in names else None
    head = {
        "benchmark": "throughput",
        "model": options.model,
        "fingerprint": model.info.fingerprint,
        "device": model.info.device,
        "dtype": model.info.dtype,
        **report.machine(),
        "asked": {name: getattr(options, name) for name in ("loops", "limit", "sampled", "repeats")},
    }
    kept = report.read(options.out)
    done: dict[str, Any] = kept["tasks"] if {key: kept.get(key) for key in head} == head else {}
    for task in find_tasks([]).resolve(options.tasks):
        if task.name in done:
            continue
        loops = made(model, naive, task, options.limit, options.sampled, names)
        done[task.name] = measured(model, loops, options.repeats)
        print(f"{task.name}: {json.dumps(done[task.name])}", file=sys.stderr, flush=True)
        report.write(head | {"all": together(done), "tasks": done}, options.out)


def made(
    model: Model,
    naive: PlainModel | None,
    task: Task,
    limit: int | None,
    sampled: int | None,
    names: list[str],
) -> dict[str, Loop]:
    items, requests = asked(task, limit)
    everything = range(len(requests))
    some: Sequence[int] = everything
    if sampled is not None and sampled < len(requests):
        some = sorted(random.Random(0).sample(everything, sampled))
    runs: dict[str, Callable[[], Answers]] = {
        "evalkit": lambda: by_evalkit(model, task, limit),
        "one_by_one": lambda: [call(model, [model.prepare(requests[place]())])[0] for place in some],
    }
    if "bare" in names:
        runs["bare"] = ideal_batches(model, items, requests)
    if naive is not None:
        runs["plain"] = lambda: [naive.answer(requests[place]()) for place in some]
    for one in requests[:WARM_UP]:
        call(model, [model.prepare(one())])
        if naive is not None:
            naive.answer(one())
    return {name: Loop(some if name in SAMPLED else everything, runs[name]) for name in names}


def measured(model: Model, loops: Mapping[str, Loop], repeats: int) -> dict[str, Any]:
    wall: dict[str, list[float]] = {name: [] for name in loops}
    processor: dict[str, list[float]] = {name: [] for name in loops}
    answers: dict[str, Answers] = {}
    names = list(loops)
    for turn in range(repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            forget(model)
            share = len(loops["evalkit"].places) / len(loops[name].places)
            began, worked = time.perf_counter(), time.process_time()
            answers[name] = loops[name].run()
            wall[name].append(share * (time.perf_counter() - began))
            processor[name].append(share * (time.process_time() - worked))
    others = [name for name in names if name != "evalkit"]
    return {
        "samples": {name: len(loop.places) for name, loop in loops.items()},
        "seconds": {name: round(statistics.median(times), 2) for name, times in wall.items()},
        "cpu_seconds": {name: round(statistics.median(times), 2) for name, times in processor.items()},
        "over_evalkit": {name: ratio(wall[name], wall["evalkit"]) for name in others},
        "over_evalkit_cpu": {name: ratio(processor[name], processor["evalkit"]) for name in others},
        "compared": {name: compared(answers, loops[name].places, name) for name in others},
    }


def ratio(times: Sequence[float], others: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(times, others, strict=True)), 3)


def compared(answers: Mapping[str, Answers], places: Sequence[int], name: str) -> dict[str, Any]:
    """evalkit's answers beside another loop's to the same questions."""
    pairs = [(answers["evalkit"][place], other) for place, other in zip(places, answers[name], strict=True)]
    same = sum(shown(ours) == shown(other) for ours, other in pairs)
    found: dict[str, Any] = {"answers": len(pairs), "same": same, "share": round(same / len(pairs), 4)}
    gaps = [
        abs(a - b)
        for ours, other in pairs
        if isinstance(other, Response)
        for a, b in zip(ours.choice_logprobs, other.choice_logprobs, strict=True)
    ]
    return found | ({"largest_gap_of_log_likelihoods": max(gaps)} if gaps else {})


def together(tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Sums over the tasks, and how often the time of a whole evalkit run the others take."""
    found: dict[str, Any] = {}
    for kind in ("seconds", "cpu_seconds"):
        names = next(iter(tasks.values()))[kind]
        total = {name: round(sum(task[kind][name] for task in tasks.values()), 2) for name in names}
        found[kind] = total
        found[f"{kind}_over_evalkit"] = {
            name: round(total[name] / total["evalkit"], 3) for name in total if name != "evalkit"
        }
    for name in next(iter(tasks.values()))["compared"]:
        counts = [task["compared"][name] for task in tasks.values()]
        same, answers = (sum(one[key] for one in counts) for key in ("same", "answers"))
        found[f"same_as_{name}"] = {"answers": answers, "same": same, "share": round(same / answers, 4)}
    return found


def asked(task: Task, limit: int | None) -> tuple[Sequence[WorkItem], list[Callable[[], Request]]]:
    """Every question, and what reads and decodes its audio and builds its request."""
    samples = open_samples(task, limit=limit) if limit else open_samples(task)
    # Decoded for every question: what a loop shares it shares by itself, and no loop profits from another.
    preparation = Preparation(task, samples, "real", recordings=Recordings(limit=0))
    items = work_items(task, samples, "real", 0)
    return items, [lambda item=item: preparation.request(item) for item in items]  # type: ignore[misc]


def by_evalkit(model: Model, task: Task, limit: int | None) -> Answers:
    with tempfile.TemporaryDirectory() as folder:
        done = run_task(model, task, RunSettings(Path(folder), limit))
    return [entry.response for entry in done.entries]


def ideal_batches(
    model: Model, items: Sequence[WorkItem], requests: Sequence[Callable[[], Request]]
) -> Callable[[], Answers]:
    """The loop over batches that are ready: those of `evalkit run`, with questions about one clip side by side."""
    ready = [model.prepare(one()) for one in requests]
    budget = budget_for("auto", model.info.device)
    plan = plan_batches([item.length for item in items], budget, [item.contents or None for item in items])

    def loop() -> Answers:
        found: dict[int, Response] = {}
        for batch in plan:
            found |= dict(zip(batch, call(model, [ready[place] for place in batch]), strict=True))
        return [found[place] for place in range(len(ready))]

    return loop


def call(model: Model, batch: Sequence[Prepared]) -> list[Response]:
    return model.score_choices(batch) if batch[0].request.choices else model.generate(batch)


def shown(answer: Response | str | int) -> str | int | None:
    """The text, or the place of the likeliest choice."""
    if not isinstance(answer, Response):
        return answer
    scores = answer.choice_logprobs
    return scores.index(max(scores)) if scores else answer.text


def forget(model: Any) -> None:
    """Drop features, encoder states, tokens and openings, so that no loop profits from the one before."""
    if hasattr(model, "parts"):
        from model_adapters.audio_llm.model import MELS_BYTES, AudioLLM
        from model_adapters.audio_llm.states import StateCache

        parts = replace(model.parts, states=StateCache(), mels=StateCache(MELS_BYTES))
        vars(model).update(vars(AudioLLM(parts, model.info)))


if __name__ == "__main__":
    main()
