"""`evalkit run`: models on tasks, resumable, ending in a table."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evalkit.cli.audio_check import AudioChecks
from evalkit.cli.loading import Backbone, Device, Dtype, ModelArgs, TrustRemoteCode, read_model_args
from evalkit.cli.places import Places, find_places, placed, show_shard
from evalkit.cli.progress import show_progress
from evalkit.cli.results_table import show_results
from evalkit.cli.tasks import AllowCode, IncludePath
from evalkit.cli.terminal import printable, show_json

if TYPE_CHECKING:
    from evalkit.evaluation import Evaluation
    from evalkit.model import Card, LoadOptions
    from evalkit.runner import RunSettings
    from evalkit.tasks.schema import Task

RUN_FAILED, INTERRUPTED = 1, 130
# The loader of models behind a server.
SERVED = "openai"


def run(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Option(help="By name, card file, hf:ORG/NAME, openai:NAME or predictions:FILE, with commas."),
    ],
    tasks: Annotated[str, typer.Option(help="Tasks, groups, tags or task files, separated by commas.")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many samples of a task.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on.")] = False,
    audio: Annotated[
        Literal["real", "none", "silence", "shuffled"], typer.Option(help="What the model gets to hear.")
    ] = "real",
    check_audio: Annotated[
        bool,
        typer.Option(
            "--check-audio",
            help="Ask a sample again with other audio and with none; warn if it is not heard.",
        ),
    ] = False,
    batch_size: Annotated[str, typer.Option(help="`auto`, or samples in a batch.")] = "auto",
    device: Device = "auto",
    devices: Annotated[
        str, typer.Option(help="Replicas of the model on several devices: cuda:0,cuda:1,...")
    ] = "",
    workers: Annotated[
        int, typer.Option(min=1, help="Replicas of the model on the CPU, or on the Ray cluster.")
    ] = 1,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Where replicas are: in this process, or on a Ray cluster."),
    ] = "local",
    dtype: Dtype = "auto",
    backbone: Backbone = "mini",
    output: Annotated[Path, typer.Option(help="The folder of all runs.")] = Path("runs"),
    seed: Annotated[int, typer.Option(help="Seed of sampling, shuffling and intervals.")] = 0,
    max_failures: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of errors above which the run has failed.")
    ] = 0.05,
    max_seconds: Annotated[
        float, typer.Option(min=0.001, help="How long an answer may take before it becomes an error.")
    ] = 600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result records as JSON.")] = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
    model_args: ModelArgs = "",
    base_url: Annotated[str, typer.Option(help="The server of openai:NAME, http://HOST:PORT/v1.")] = "",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Run models on tasks and print a table. The same command again goes on where it stopped."""
    from evalkit.cards import resolve_model
    from evalkit.model import LoadOptions
    from evalkit.runner import RunSettings
    from evalkit.runner.shards import shard_of

    shard = shard_of(os.environ)
    places = find_places(device, devices, workers, shard, engine)
    chosen = _resolve_tasks(tasks, include_path or [], allow_code)
    cards = [resolve_model(name) for name in _names("--model", model)]
    if base_url and not any(card.loader == SERVED for card in cards):
        raise ValueError(f"--base-url {base_url}: none of the models is served; name one as openai:NAME")
    options = LoadOptions(
        places.devices[0], dtype, backbone, seed, read_model_args(model_args), base_url, trust_remote_code
    )
    settings = RunSettings(
        output, limit, _batch_size(batch_size), audio, seed, fresh, max_failures, max_seconds, options
    )
    if shard is not None:
        settings = replace(settings, output=shard.folder(output), shard=shard)
    done: list[Evaluation] = []
    try:
        _run_all(
            cards,
            options,
            places,
            chosen,
            settings,
            done,
            AudioChecks(seed) if check_audio else None,
            as_json,
        )
    except KeyboardInterrupt:
        arguments = [part for part in context.obj or () if part != "--fresh"]
        print("\ninterrupted; finished answers are kept. To go on, type:", file=sys.stderr)
        print(printable(shlex.join(["evalkit", *arguments])), file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if any(evaluation.run.too_many_failures for evaluation in done):
        raise typer.Exit(RUN_FAILED)


def _run_all(
    cards: list[Card],
    options: LoadOptions,
    places: Places,
    tasks: list[Task],
    settings: RunSettings,
    done: list[Evaluation],
    checks: AudioChecks | None,
    as_json: bool,
) -> None:
    """Whatever ends it, the results that are finished by then are shown."""
    try:
        for card in cards:
            _run_model(card, options, places, tasks, settings, done, checks)
    finally:
        if done or as_json:
            _show(done, as_json)
        if checks is not None:
            checks.show(as_json=as_json)


def _run_model(
    card: Card,
    options: LoadOptions,
    places: Places,
    tasks: list[Task],
    settings: RunSettings,
    done: list[Evaluation],
    checks: AudioChecks | None,
) -> None:
    """Load the model once a place, if there is work for it, and run all tasks; what is finished is added to
    `done`."""
    from evalkit.evaluation import evaluate
    from evalkit.interop.lm_eval_results import write_lm_eval_results
    from evalkit.runner import run_task

    with placed(card, options, places) as (model, engines):
        for task in tasks:
            progress = show_progress(f"{card.name} on {task.name}")
            if settings.shard is not None:
                show_shard(run_task(model, task, settings, progress, engines), settings.shard)
                continue
            done.append(evaluate(model, task, settings, progress, engines))
            write_lm_eval_results(done[-1].result, done[-1].run.folder)
            if checks is not None:
                checks.check(model, task)


def _show(done: list[Evaluation], as_json: bool) -> None:
    results = [evaluation.result for evaluation in done]
    if as_json:
        # Through pydantic's JSON, which writes what is not a finite number as null.
        show_json([json.loads(result.model_dump_json()) for result in results])
    else:
        show_results(results)
    for evaluation in done:
        print(printable(f"records: {evaluation.run.folder}"), file=sys.stderr)
    for evaluation in done:
        made = evaluation.result.provenance
        if made.cost:
            counts = f"{made.input_tokens} input and {made.output_tokens} output tokens"
            print(
                printable(f"{evaluation.result.task}: {counts} cost {made.cost:.4f} dollars"), file=sys.stderr
            )
        if evaluation.run.failures:
            print(printable(_failures(evaluation)), file=sys.stderr)


def _failures(evaluation: Evaluation) -> str:
    run = evaluation.run
    errors = [entry.response.error for entry in run.entries if entry.response.error is not None]
    reason, count = Counter(errors).most_common(1)[0]
    verdict = (
        "more than --max-failures allows, so the run has failed"
        if run.too_many_failures
        else "counted as wrong"
    )
    return (
        f"{evaluation.result.task}: {run.failures} of {len(run.entries)} answers are errors, {verdict}; "
        f"most often ({count}): {reason}"
    )


def _resolve_tasks(spec: str, include_path: list[Path], allow_code: bool) -> list[Task]:
    """The tasks, with their metrics and filters checked, and what these need fetched, before a model is loaded."""
    from evalkit.scoring import ScoringSpec
    from evalkit.tasks import find_tasks

    foreign = [name for name in spec.split(",") if _is_lm_eval(name.strip())]
    own = ",".join(name for name in spec.split(",") if name not in foreign)
    tasks = (
        [] if foreign and not own.strip() else find_tasks(include_path, allow_code=allow_code).resolve(own)
    )
    tasks += [_text_task(name.strip()) for name in foreign]
    for task in tasks:
        ScoringSpec.from_task(task).fetch()
    return tasks


def _is_lm_eval(name: str) -> bool:
    """Whether a task file is a plain one of lm-evaluation-harness."""
    from evalkit.interop.lm_eval_yaml import is_lm_eval_yaml

    return name.endswith((".yaml", ".yml")) and Path(name).is_file() and is_lm_eval_yaml(Path(name))


def _text_task(name: str) -> Task:
    from evalkit.interop.lm_eval_yaml import text_task

    return text_task(Path(name))


def _names(option: str, text: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError(f"{option} names nothing")
    return names


def _batch_size(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--batch-size {text}: expected auto or a number of samples from 1 up")
    return int(text)
