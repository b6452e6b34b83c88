"""`evalkit doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.terminal import Heading, show_json, show_table

NOT_READY = 1


def doctor(
    output: Annotated[Path, typer.Option(help="The folder that runs will be written to.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check versions, audio codecs, device, models, cache, disk and locks; exits 1 for a problem."""
    from evalkit.doctor import examine

    findings = examine(output)
    if as_json:
        show_json([asdict(finding) for finding in findings])
    else:
        headings = [Heading("check"), Heading("state"), Heading("found"), Heading("what to do")]
        show_table(headings, [[one.check, one.state, one.found, one.advice] for one in findings])
    if any(one.state == "problem" for one in findings):
        raise typer.Exit(NOT_READY)
