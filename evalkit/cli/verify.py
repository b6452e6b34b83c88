"""`evalkit verify`: does every number of a results folder follow from its journals?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.terminal import printable, show_json

DOES_NOT_HOLD = 1


def verify(
    folder: Annotated[Path, typer.Argument(help="A folder of runs, published or not, or one of its runs.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Recompute every number from the journals, without a model; exits 1 and names what does not hold."""
    from evalkit.leaderboard.publication import verify as verify_folder

    found = verify_folder(folder)
    if as_json:
        findings = [{"file": one.file, "field": one.field, "what": one.what} for one in found.findings]
        about = {"runs": found.runs, "fields": found.fields, "unfinished": list(found.unfinished)}
        show_json({**about, "findings": findings})
    else:
        for finding in found.findings:
            print(printable(str(finding)))
        for name in found.unfinished:
            print(printable(f"{name}: has no result yet, so there was nothing to check"), file=sys.stderr)
        runs = f"{found.runs} run{'' if found.runs == 1 else 's'}, {found.fields} fields"
        count = len(found.findings)
        verdict = f"{count} thing{'' if count == 1 else 's'} not" if count else "everything"
        print(printable(f"{folder}: {runs} recomputed: {verdict} as recorded"))
    if found.findings:
        raise typer.Exit(DOES_NOT_HOLD)
