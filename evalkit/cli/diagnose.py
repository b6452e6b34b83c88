"""`evalkit diagnose`: inside the experts of a projector."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evalkit.cli.tasks import AllowCode, IncludePath
from evalkit.cli.terminal import Heading, printable, show_json, show_table

if TYPE_CHECKING:
    from evalkit.diagnostics.clips import Say
    from evalkit.diagnostics.report import Report, Table
    from evalkit.model import Model
    from evalkit.tasks.schema import Task

app = typer.Typer(
    help="Look inside the experts: routing, conflict, ablation, cost, robustness.", no_args_is_help=True
)

Models = Annotated[
    str,
    typer.Option("--model", help="Models by name or card file, separated by commas, to be set side by side."),
]
Tasks = Annotated[str, typer.Option(help="Tasks, groups, tags or task files, separated by commas.")]
Device = Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"], typer.Option(help="Number format of the weights.")
]
Output = Annotated[
    Path | None, typer.Option(help="Folder of the report; diagnose/COMMAND-MODELS by default.")
]
Seed = Annotated[int, typer.Option(help="Seed of permutations, resampling and draws.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


@app.command("routing")
def routing(
    model: Models,
    tasks: Tasks = "mini",
    limit: Annotated[int, typer.Option(min=2, help="Samples of each task, evenly spread.")] = 40,
    device: Device = "auto",
    dtype: Dtype = "auto",
    output: Output = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """Which experts hear what: load, information, likeness of tasks, similarity of experts, separability."""
    from evalkit.diagnostics.routing import diagnose_routing

    chosen = _tasks(tasks, include_path, allow_code)
    loaded = _models(model, device, dtype)
    report = diagnose_routing(loaded, chosen, limit, seed=seed, say=_say())
    _finish(report, "routing", loaded, output, as_json)


@app.command("cost")
def cost(
    model: Models,
    tasks: Tasks = "mini_asr_en",
    limit: Annotated[int, typer.Option(min=1, help="Samples of each task, evenly spread.")] = 8,
    paper_scale: Annotated[
        bool,
        typer.Option(
            "--paper-scale", help="The projectors alone, random, between a 5120 and a 2048 wide part."
        ),
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    output: Output = None,
    as_json: AsJson = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """What it costs: parameters, operations, latency, time to first token, memory; all models by turns."""
    from evalkit.diagnostics.cost import diagnose_cost

    chosen = _tasks(tasks, include_path, allow_code)
    loaded = _models(model, device, dtype)
    report = diagnose_cost(loaded, chosen, limit, paper_scale=paper_scale, say=_say())
    _finish(report, "cost-paper" if paper_scale else "cost", loaded, output, as_json)


@app.command("conflict")
def conflict(
    model: Models,
    tasks: Tasks = "mini",
    batch_size: Annotated[int, typer.Option(min=1, help="Clips of each family in a batch.")] = 4,
    batches: Annotated[int, typer.Option(min=2, help="Batches, which share no clip.")] = 6,
    device: Device = "auto",
    dtype: Dtype = "auto",
    output: Output = None,
    as_json: AsJson = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """Whether the families' gradients fight over the projector: cosines, magnitudes, influence."""
    from evalkit.diagnostics.conflict import diagnose_conflict

    chosen = _tasks(tasks, include_path, allow_code)
    loaded = _models(model, device, dtype)
    report = diagnose_conflict(loaded, chosen, batch_size=batch_size, batches=batches, say=_say())
    _finish(report, "conflict", loaded, output, as_json)


@app.command("ablate")
def ablate(
    model: Annotated[str, typer.Option(help="One model, by name or card file.")],
    tasks: Tasks = "mini_asr_en,mini_vocal_expression",
    limit: Annotated[int, typer.Option(min=2, help="Samples of each task, evenly spread.")] = 24,
    device: Device = "auto",
    dtype: Dtype = "auto",
    output: Output = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """What each expert is for: every task's score without it, or with the routing forced."""
    from evalkit.diagnostics.ablation import diagnose_ablation

    chosen = _tasks(tasks, include_path, allow_code)
    loaded = _models(model, device, dtype)
    if len(loaded) > 1:
        raise ValueError("--model: ablation is of one model; run it for each")
    report = diagnose_ablation(loaded[0], chosen, limit, seed=seed, say=_say())
    _finish(report, "ablate", loaded, output, as_json)


@app.command("robustness")
def robustness(
    model: Annotated[str, typer.Option(help="One model, by name or card file.")],
    tasks: Tasks = "mini_asr_en",
    limit: Annotated[int, typer.Option(min=2, help="Samples of each task, evenly spread.")] = 16,
    device: Device = "auto",
    dtype: Dtype = "auto",
    output: Output = None,
    seed: Seed = 0,
    as_json: AsJson = False,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """How far routing and scores move when noise is added, when the batch changes, and with the dtype."""
    from evalkit.diagnostics.robustness import diagnose_robustness

    chosen = _tasks(tasks, include_path, allow_code)
    loaded = _models(model, device, dtype)
    if len(loaded) > 1:
        raise ValueError("--model: robustness is of one model; run it for each")
    changed = "float32" if loaded[0].info.dtype == "bfloat16" else "bfloat16"
    (other,) = _models(model, device, changed)
    report = diagnose_robustness(loaded[0], other, chosen, limit, seed=seed, say=_say())
    _finish(report, "robustness", loaded, output, as_json)


def _tasks(spec: str, include_path: list[Path] | None, allow_code: bool) -> list[Task]:
    from evalkit.tasks import find_tasks

    return find_tasks(include_path or (), allow_code=allow_code).resolve(spec)


def _models(names: str, device: str, dtype: str) -> list[Model]:
    """Loaded, in the order given. ValueError names what is unknown before anything is loaded."""
    from evalkit.cards import load_model, resolve_model
    from evalkit.cli.compare import split_names
    from evalkit.model import LoadOptions

    cards = [resolve_model(name) for name in split_names(names)]
    if not cards:
        raise ValueError("--model names nothing")
    found = []
    for card in cards:
        print(f"loading {printable(card.name)}", file=sys.stderr, flush=True)
        found.append(load_model(card, LoadOptions(device, dtype)))
    return found


def _say() -> Say:
    """Progress on stderr, a line every few seconds."""
    shown = time.monotonic()

    def say(text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= 5:
            print(printable(text), file=sys.stderr, flush=True)
            shown = time.monotonic()

    return say


def _finish(report: Report, command: str, models: list[Model], output: Path | None, as_json: bool) -> None:
    """Write the report, show its first tables, and say where the rest is."""
    from evalkit.diagnostics.report import write_report

    folder = output or Path("diagnose") / "-".join([command, *(model.info.name for model in models)])
    write_report(report, folder)
    if as_json:
        show_json(report.as_json())
    else:
        for table in report.tables:
            if table.name in report.shown:
                _show(table)
        for note in report.notes:
            print(printable(note))
    print(printable(f"tables and figures: {folder}"), file=sys.stderr)


def _show(table: Table) -> None:
    from evalkit.diagnostics.report import cell_text

    print(f"\n{printable(table.title)} ({printable(table.name)})\n")
    numeric = [any(not isinstance(row[at], str) for row in table.rows) for at in range(len(table.columns))]
    headings = [
        Heading(name, "right" if right else "left")
        for name, right in zip(table.columns, numeric, strict=True)
    ]
    show_table(headings, [[cell_text(cell) for cell in row] for row in table.rows])
