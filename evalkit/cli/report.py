"""`evalkit report`: a page to look inside a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.tasks import AllowCode, IncludePath

if TYPE_CHECKING:
    from evalkit.tasks.schema import Task


def report(
    run: Annotated[Path, typer.Argument(help="A run folder: runs/MODEL/TASK@FINGERPRINT.")],
    output: Annotated[
        Path | None, typer.Option(help="The page's file; report.html in RUN by default.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="How many of the worst, the failed and the random samples to show.")
    ] = 10,
    include_path: IncludePath = None,
    allow_code: AllowCode = False,
) -> None:
    """Write a page with a run's samples, their audio, and where it goes wrong."""
    from evalkit.leaderboard.report import read_answers, render_report
    from evalkit.results.files import write_atomically

    page = output or run / "report.html"
    if page.suffix != ".html":
        raise ValueError(f"--output {page}: the report is a page; its name must end in .html")
    answers = read_answers(run)
    text = render_report(answers, _task(answers.task, include_path or [], allow_code), samples=samples)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(page, text.encode("utf-8"))
    print(f"written to {page}", file=sys.stderr)


def _task(name: str, include_path: list[Path], allow_code: bool) -> Task | None:
    """The task of that name, whose data hold the audio; None if it is not installed."""
    from evalkit.tasks import find_tasks

    catalog = find_tasks(include_path, allow_code=allow_code)
    return catalog.load(name) if name in catalog.tasks else None
