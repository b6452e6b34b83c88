"""`evalkit leaderboard`: the records of several models side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.terminal import Heading, show_table

if TYPE_CHECKING:
    from evalkit.leaderboard import Table
    from evalkit.leaderboard.stored import StoredRun
    from evalkit.results.record import Result

DEFAULT_FOLDERS = (Path("runs"), Path("results"))
DEFAULT_OUTPUT = Path("leaderboards/mini.md")


def leaderboard(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders or files with records; runs/ and results/ by default."),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The table's file: .md, .csv, .html, .tex or .json.")
    ] = DEFAULT_OUTPUT,
    tasks: Annotated[str, typer.Option(help="Only these tasks, families or tags, separated by commas.")] = "",
    partial: Annotated[bool, typer.Option("--partial", help="Let runs with --limit in.")] = False,
    allow_mixed: Annotated[
        bool,
        typer.Option("--allow-mixed", help="Give records that were made differently columns of their own."),
    ] = False,
    against: Annotated[
        str, typer.Option(help="For .tex: a model; daggers mark what differs from it significantly.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Print models side by side and write the table to a file."""
    from evalkit.leaderboard import RENDERERS, build_table, select
    from evalkit.leaderboard.stored import find_runs
    from evalkit.results.files import write_atomically

    if output.suffix not in RENDERERS:
        raise ValueError(f"--output {output}: a table can be written as {', '.join(RENDERERS)}")
    if against and output.suffix != ".tex":
        raise ValueError(f"--against {against}: daggers stand in LaTeX tables only; give --output NAME.tex")
    runs = find_runs(_places(folders))
    results = [run.result for run in runs]
    chosen = select(results, tasks=_split(tasks), partial=partial, mixed=allow_mixed)
    if not chosen:
        raise ValueError(f"all {len(results)} records are of partial runs (--limit); --partial lets them in")
    table = build_table(chosen, allow_mixed=allow_mixed)
    if against:
        shown = {id(result) for result in chosen}
        text = _with_daggers(table, output.stem, [run for run in runs if id(run.result) in shown], against)
    else:
        text = RENDERERS[output.suffix](table, output.stem)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, text.encode("utf-8"))
    if as_json:
        print(RENDERERS[".json"](table, output.stem), end="")
    else:
        show_leaderboard(table)
    print(f"{_left_out(results, chosen)}written to {output}", file=sys.stderr)


def _with_daggers(table: Table, title: str, runs: list[StoredRun], against: str) -> str:
    from evalkit.leaderboard import render_latex
    from evalkit.leaderboard.significance import compared_with

    return render_latex(table, title, compared_with(against, runs))


def show_leaderboard(table: Table) -> None:
    """Print the table: whole if it fits, else its averages and one family after the other.

    Of a very wide one only the first metric of every task; the file that is written holds them all.
    """
    from evalkit.leaderboard.sections import WIDEST, part_of, sections
    from evalkit.leaderboard.values import CAPTION

    notes = [f"({number}) {note}" for number, note in enumerate(table.notes, 1)]
    whole = len(sections(table)) == 1
    parts = sections(table, further=len(table.columns) <= 2 * WIDEST)
    shown = {place for part in parts for place in part.columns}
    if len(shown) < len(table.columns):
        notes.append("Further metrics stand in the file.")
    if not whole:
        _show_averages(table)
    for part in parts:
        if part.title:
            print(f"{part.title}\n")
        last = part is parts[-1]
        _show_part(part_of(table, part), caption=CAPTION if last else "", notes=notes if last else ())
        if not last:
            print()


def _show_averages(table: Table) -> None:
    from evalkit.leaderboard.averages import averages
    from evalkit.leaderboard.markdown import score_text, size_text, speed_text

    found = averages(table)
    if not found:
        return
    print("Averages\n")
    headings = [Heading("model"), *(Heading(f"{average.side} ↑", "right") for average in found)]
    headings += [Heading("active parameters of all", "right"), Heading("× real time", "right")]
    rows = [
        [
            row.label,
            *(score_text(average.scores[place]) for average in found),
            size_text(row),
            speed_text(row),
        ]
        for place, row in enumerate(table.rows)
    ]
    show_table(headings, rows, notes=[average.statement for average in found])
    print()


def _show_part(table: Table, *, caption: str, notes: Sequence[str]) -> None:
    """Models or tasks as columns, whichever are fewer."""
    cells = _cells(table)
    if len(table.rows) > len(table.columns):
        headings = [Heading("model")]
        headings += [
            Heading(f"{column.heading}\n{column.label}\nn = {column.n}", "right") for column in table.columns
        ]
        lines = [[row.label, *texts] for row, texts in zip(table.rows, cells, strict=True)]
    else:
        headings = [Heading("task"), Heading("metric"), Heading("n", "right")]
        headings += [Heading(row.label, "right") for row in table.rows]
        turned = zip(*cells, strict=True)
        lines = [
            [column.heading, column.label, str(column.n), *texts]
            for column, texts in zip(table.columns, turned, strict=True)
        ]
    show_table(headings, lines, caption=caption, notes=notes)


def _cells(table: Table) -> list[list[str]]:
    """The text of every cell; its notes are numbered in brackets."""
    from evalkit.leaderboard.values import MISSING

    return [
        [
            cell.text(column.metric) + "".join(f" ({number})" for number in cell.notes) if cell else MISSING
            for column, cell in zip(table.columns, row.cells, strict=True)
        ]
        for row in table.rows
    ]


def _places(folders: list[Path] | None) -> list[Path]:
    from evalkit.results import find_results

    searched = folders or [folder for folder in DEFAULT_FOLDERS if folder.is_dir()] or [DEFAULT_FOLDERS[0]]
    places = [place for folder in searched for place in find_results(folder)]
    if not places:
        raise ValueError(f"no result.json under {', '.join(map(str, searched))}; `evalkit run` writes them")
    return places


def _left_out(results: list[Result], chosen: list[Result]) -> str:
    count = len(results) - len(chosen)
    return f"{count} of {len(results)} records left out (older, partial or not asked for); " if count else ""


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]
