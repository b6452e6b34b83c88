"""Tables over results. A table is built once (`build_table`); each format is a renderer of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evalkit.leaderboard.build import build_table
from evalkit.leaderboard.csv import render_csv
from evalkit.leaderboard.frame import frame
from evalkit.leaderboard.html import render_html
from evalkit.leaderboard.json import render_json
from evalkit.leaderboard.latex import render_latex
from evalkit.leaderboard.markdown import render_markdown
from evalkit.leaderboard.selection import select
from evalkit.leaderboard.table import Cell, Column, Row, Table

__all__ = [
    "RENDERERS",
    "Cell",
    "Column",
    "Row",
    "Table",
    "build_table",
    "frame",
    "render_csv",
    "render_html",
    "render_json",
    "render_latex",
    "render_markdown",
    "select",
]

# By the suffix of the file that is written. A renderer gets the table and its title.
RENDERERS: Mapping[str, Callable[[Table, str], str]] = {
    ".md": render_markdown,
    ".csv": lambda table, title: render_csv(table),
    ".html": render_html,
    ".tex": lambda table, title: render_latex(table, title),
    ".json": lambda table, title: render_json(table),
}
