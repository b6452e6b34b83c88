"""`evalkit publish`: runs as a folder that stands alone, here or on the Hugging Face hub."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.leaderboard import DEFAULT_FOLDERS
from evalkit.cli.terminal import printable


def publish(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN ...]", help="Models by name or folders of runs; runs/ by default."),
    ] = None,
    output: Annotated[Path, typer.Option(help="The published folder; it is updated in place.")] = Path(
        "results"
    ),
    to: Annotated[
        str, typer.Option(help="Push it as well: hf://datasets/OWNER/NAME, with @BRANCH and /FOLDER.")
    ] = "",
) -> None:
    """Publish records, journals, tables, environment and licences, with the commands to make them again."""
    from evalkit.leaderboard.publication import parse_target, push
    from evalkit.leaderboard.publication import publish as publish_runs
    from evalkit.leaderboard.stored import find_runs, runs_named

    target = parse_target(to) if to else None
    found = runs_named(runs, DEFAULT_FOLDERS) if runs else find_runs(DEFAULT_FOLDERS[:1])
    done = publish_runs(found, output)
    for folder in done.written:
        print(printable(f"published {folder}"))
    for folder in done.removed:
        print(printable(f"removed {folder}: a newer run of the same took its place"))
    for reason in done.left_out:
        print(printable(f"left out {reason}"), file=sys.stderr)
    print(printable(f"`evalkit verify {output}` checks it"), file=sys.stderr)
    if target is not None:
        print(printable(f"pushed: {push(output, target)}"))
