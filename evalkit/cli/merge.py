"""`evalkit merge`: the shards of a run, answered by several processes, become the run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.results_table import show_results
from evalkit.cli.terminal import printable, show_json


def merge(
    output: Annotated[Path, typer.Option(help="The folder that `evalkit run --output` named.")] = Path(
        "runs"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result records as JSON.")] = False,
) -> None:
    """Join what `evalkit run` made in several processes (RANK, WORLD_SIZE), score it and print the table."""
    from evalkit.leaderboard.rebuild import scored_record
    from evalkit.results import write_result
    from evalkit.results.merge import merge_shards
    from evalkit.results.run_record import task_from_snapshot
    from evalkit.scoring import ScoringSpec

    results = []
    for folder, run, entries in merge_shards(output):
        result = scored_record(run, entries, ScoringSpec.from_task(task_from_snapshot(run.task)))
        write_result(folder, result)
        results.append(result)
        print(printable(f"records: {folder}"), file=sys.stderr)
    if as_json:
        show_json([json.loads(result.model_dump_json()) for result in results])
    else:
        show_results(results)
