"""Writing to the terminal: tables, JSON, and text that comes from data."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS and other strings
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    align: Literal["left", "right"] = "left"


def printable(text: str) -> str:
    """`text` without terminal control sequences, control characters and changes of writing direction."""
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _ESCAPES.sub("", text)))


def show_table(
    headings: Sequence[Heading],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Print a table to stdout: drawn by rich on a terminal, aligned plain text elsewhere."""
    headings = [Heading(printable(heading.text), heading.align) for heading in headings]
    flat = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(headings, flat)
    else:
        print(plain_table(headings, flat))
    for line in (*([caption] if caption else []), *notes):
        print(printable(line))


def show_json(value: Any) -> None:
    """Print `value` as JSON. Control characters are escaped by JSON itself."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def plain_table(headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their headings in columns of equal width, two spaces apart. A heading may have lines."""
    above = [heading.text.split("\n") for heading in headings]
    height = max((len(lines) for lines in above), default=0)
    head = [[lines[at] if at < len(lines) else "" for lines in above] for at in range(height)]
    table = [*head, *rows]
    widths = [max(_width(row[place]) for row in table) for place in range(len(headings))]
    lines = [_line(row, widths, headings) for row in table]
    lines.insert(height, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int], headings: Sequence[Heading]) -> str:
    cells = []
    for cell, width, heading in zip(row, widths, headings, strict=True):
        space = " " * (width - _width(cell))
        cells.append(space + cell if heading.align == "right" else cell + space)
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns that `text` takes: two for wide characters, none for combining ones."""
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return len(text) + wide - sum(unicodedata.combining(sign) != 0 for sign in text)


def _draw(headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading in headings:
        table.add_column(Text(heading.text), justify=heading.align, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
