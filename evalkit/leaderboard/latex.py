"""A table as LaTeX with booktabs: best bold, second underlined, daggers where a comparison says "different".

Models are rows and metrics columns, or the other way round where there are more metrics than models.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from evalkit.leaderboard.ranking import Rank, ranks
from evalkit.leaderboard.sections import part_of, sections
from evalkit.leaderboard.table import Cell, Column, Table
from evalkit.leaderboard.values import (
    CAPTION,
    MISSING,
    bounds_text,
    interval_text,
    metric_label,
    value_text,
)
from evalkit.text import visible

if TYPE_CHECKING:
    from evalkit.leaderboard.comparison import Comparison

Place = tuple[int, int]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "--": "-{}-",
    "[": "{[}",  # After the \\ of the line before it would be an option, as would a star.
    "]": "{]}",
    "*": "{*}",
    "⟨": r"\textless{}",
    "⟩": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
}
_ESCAPED = re.compile("|".join(map(re.escape, _ESCAPES)))


def escape(text: str) -> str:
    """`text` as LaTeX shows it, in one line. No part of it is a command."""
    return _ESCAPED.sub(lambda match: _ESCAPES[match.group()], visible(" ".join(text.split())))


def render_latex(table: Table, title: str, comparison: Comparison | None = None) -> str:
    """`table` environments for a document with the package booktabs: one, or one for each part of a wide table.

    With `comparison` a dagger marks what is different from its first model (Holm-corrected p < 0.05). The same
    table gives the same bytes.
    """
    parts = sections(table)
    lines = ["% Written by evalkit leaderboard; needs \\usepackage{booktabs}."]
    for part in parts:
        name = f"{title}: {part.title}" if part.title else title
        lines += _environment(part_of(table, part), name, comparison, last=part is parts[-1])
    return "\n".join(lines) + "\n"


def _environment(table: Table, title: str, comparison: Comparison | None, *, last: bool) -> list[str]:
    """One table; the last one has the notes below it."""
    different = _different(table, comparison)
    rank = [ranks(table, column) for column in range(len(table.columns))]
    cells = [
        [
            _cell(about, row.cells[column], rank[column][place], dagger=(place, column) in different)
            for column, about in enumerate(table.columns)
        ]
        for place, row in enumerate(table.rows)
    ]
    return [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_caption(title, comparison)}}}",
        *(_by_task(table, cells) if len(table.columns) > len(table.rows) else _by_model(table, cells)),
        *(f"  \\par\\smallskip\\footnotesize\\raggedright {note}" for note in _notes(table) if last),
        "\\end{table}",
    ]


def _different(table: Table, comparison: Comparison | None) -> Collection[Place]:
    """The cells whose model differs from the comparison's first, on the metric that was tested."""
    pairs = comparison.pairs if comparison else ()
    told = {
        (pair.second, task.task, task.tested.metric)
        for pair in pairs
        for task in pair.tasks
        if task.different and task.holds
    }
    return {
        (place, column)
        for place, row in enumerate(table.rows)
        for column, about in enumerate(table.columns)
        if row.ranked and (row.model, about.task, about.metric) in told
    }


def _caption(title: str, comparison: Comparison | None) -> str:
    parts = [
        f"{escape(title)}.",
        escape(CAPTION),
        "\\textbf{Best} and \\underline{second best} by the digits shown.",
    ]
    if comparison and comparison.pairs:
        first = escape(comparison.pairs[0].first)
        parts.append(f"$\\dagger$: differs from {first} (paired test, Holm-corrected $p < 0.05$).")
        if any(len(task.seeds) > 1 for pair in comparison.pairs for task in pair.tasks):
            parts.append("Seeds are paired by number, and their interval has to exclude 0 as well.")
    return " ".join(parts)


def _by_model(table: Table, cells: Sequence[Sequence[str]]) -> list[str]:
    above = [f"\\multicolumn{{2}}{{c}}{{{escape(column.heading)}}}" for column in table.columns]
    below = [f"\\multicolumn{{2}}{{c}}{{{_measure(column)}, $n={column.n}$}}" for column in table.columns]
    body = [[escape(row.label), *texts] for row, texts in zip(table.rows, cells, strict=True)]
    return _tabular("l", len(table.columns), [["", *above], ["Model", *below]], body)


def _by_task(table: Table, cells: Sequence[Sequence[str]]) -> list[str]:
    models = [f"\\multicolumn{{2}}{{c}}{{{escape(row.label)}}}" for row in table.rows]
    body = [
        [escape(column.heading), _measure(column), str(column.n), *(row[place] for row in cells)]
        for place, column in enumerate(table.columns)
    ]
    for before, line in reversed(list(zip(table.columns, body[1:], strict=False))):
        if line[0] == escape(before.heading):
            line[0] = ""
    return _tabular("llr", len(table.rows), [["Task", "Metric", "$n$", *models]], body)


def _measure(column: Column) -> str:
    return escape(metric_label(column.metric, column.higher_is_better))


def _tabular(
    before: str, pairs: int, headings: Sequence[Sequence[str]], body: Sequence[Sequence[str]]
) -> list[str]:
    """Values stand right-aligned, their marks and intervals left-aligned beside them."""
    inner = [
        f"\\begin{{tabular}}{{{before}{'r@{}l' * pairs}}}",
        "  \\toprule",
        *(f"  {' & '.join(heading)} \\\\" for heading in headings),
        "  \\midrule",
        *(f"  {' & '.join(line)} \\\\" for line in body),
        "  \\bottomrule",
        "\\end{tabular}",
    ]
    return [f"  {line}" for line in inner]


def _cell(column: Column, cell: Cell | None, rank: Rank, *, dagger: bool) -> str:
    if cell is None:
        return f"{escape(MISSING)} &"
    value = escape(value_text(column.metric, cell.value.value))
    spread = f"$\\,\\pm\\,${value_text(column.metric, cell.spread)}" if cell.spread is not None else ""
    shown = {"best": f"\\textbf{{{value}}}", "second": f"\\underline{{{value}}}", "": value}[rank]
    marks = [*(["\\dagger"] if dagger else []), *map(str, cell.notes)]
    superscript = f"$^{{{','.join(marks)}}}$" if marks else ""
    small = [interval_text(column.metric, cell.value), escape(bounds_text(column.metric, cell.value))]
    aside = " ".join(text for text in small if text)
    return f"{shown} & {spread}{superscript}" + (f"\\,{{\\scriptsize {aside}}}" if aside else "")


def _notes(table: Table) -> list[str]:
    return [f"{number}. {escape(note)}" for number, note in enumerate(table.notes, start=1)]
