"""`evalkit rescore`: other normalisers, extractors and metrics on the answers there are."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.leaderboard import DEFAULT_FOLDERS
from evalkit.cli.terminal import Heading, printable, show_json, show_table

if TYPE_CHECKING:
    from evalkit.leaderboard.rescore import Flip, Rescored
    from evalkit.scoring import ScoringSpec


def rescore(
    runs: Annotated[list[str], typer.Argument(metavar="RUN ...", help="Models by name, or folders of runs.")],
    normalizer: Annotated[
        list[str] | None, typer.Option(help="Normalise texts by this; repeatable, each is tried.")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option(help="These metrics instead; repeatable.")] = None,
    regex: Annotated[str, typer.Option(help="Take the first match, or its group, as the answer.")] = "",
    task: Annotated[str, typer.Option(help="Score as this task or task file says now.")] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Put the new scores in place of the record.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Score stored answers again, without a model, and show where models change places."""
    from evalkit.leaderboard import rescore as again
    from evalkit.leaderboard.stored import runs_named

    changes = again.Changes(tuple(normalizer or ()), tuple(metric or ()), regex, _spec(task))
    found = [again.rescore(run, changes) for run in runs_named(runs, DEFAULT_FOLDERS)]
    if write:
        for one in found:
            again.overwrite(one)
            print(printable(f"rewritten {one.run.folder}"), file=sys.stderr)
    flips = again.flips(found)
    if as_json:
        show_json(
            {
                "runs": [
                    {name: json.loads(result.model_dump_json()) for name, result in one.ways.items()}
                    for one in found
                ],
                "flips": [_sentence(flip) for flip in flips],
            }
        )
    else:
        _show(found, [_sentence(flip) for flip in flips])


def _spec(task: str) -> ScoringSpec | None:
    from evalkit.scoring import ScoringSpec
    from evalkit.tasks import find_tasks

    if not task:
        return None
    named = find_tasks(()).resolve(task)
    if len(named) != 1:
        raise ValueError(f"--task {task}: names {len(named)} tasks, one says how to score")
    return ScoringSpec.from_task(named[0])


def _show(found: Sequence[Rescored], flips: Sequence[str]) -> None:
    from evalkit.leaderboard.stored import described, listed_metrics
    from evalkit.leaderboard.values import BOUNDS, CAPTION, failures_text, full_text, metric_label

    headings = [Heading("task"), Heading("model"), Heading("scored by"), Heading("metric")]
    headings += [Heading("value", "right"), Heading("failures")]
    rows = [
        [
            one.run.result.task,
            described(one.run.result, one.run.result.model),
            way,
            metric_label(key, value.higher_is_better),
            full_text(key, value),
            failures_text(result.counts) or "none",
        ]
        for one in sorted(found, key=lambda one: (one.run.result.task, one.run.result.model))
        for way, result in one.ways.items()
        for key, value in listed_metrics(result)
    ]
    values = [value for one in found for result in one.ways.values() for value in result.metrics.values()]
    bounds = [BOUNDS] if any(value.worst is not None for value in values) else []
    flips = flips or ["No two models change places."]
    show_table(headings, rows, caption=CAPTION, notes=[*bounds, *flips])


def _sentence(flip: Flip) -> str:
    from evalkit.leaderboard.values import metric_name

    (was, before), (now, key) = flip.one, flip.other
    return (
        f"{flip.task}: {flip.better} is ahead of {flip.worse} by {metric_name(before)} ({was}), "
        f"behind by {metric_name(key)} ({now})."
    )
