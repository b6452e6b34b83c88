"""`evalkit compare`: are models really different, on the same samples?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.leaderboard import DEFAULT_FOLDERS
from evalkit.cli.terminal import Heading, printable, show_json, show_table


def compare(
    arms: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Models by name, looked up in runs/ and results/, or run folders; all are compared with A.",
        ),
    ],
    tasks: Annotated[str, typer.Option(help="Only these tasks, families or tags, separated by commas.")] = "",
    by: Annotated[
        str,
        typer.Option(help="Slices too, separated by commas: label, duration, or a field such as language."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    output: Annotated[Path | None, typer.Option(help="Write it to a file as well: .md or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare models pairwise over the same samples: differences, intervals, corrected p, cost.

    A model called NAME-s1, NAME-s2, ... is a further training seed of NAME and joins it.
    """
    import json

    from evalkit.leaderboard.comparison import blocks, comparison_json, render_comparison
    from evalkit.leaderboard.comparison import compare as compare_arms
    from evalkit.leaderboard.stored import find_arms
    from evalkit.results.files import write_atomically

    if output is not None and output.suffix not in (".md", ".json"):
        raise ValueError(f"--output {output}: a comparison can be written as .md or .json")
    found = find_arms(arms, DEFAULT_FOLDERS, tasks=split_names(tasks))
    comparison = compare_arms(found, by=split_names(by), seed=seed)
    if as_json:
        show_json(comparison_json(comparison))
    else:
        for block in blocks(comparison):
            print(f"{printable(block.title)}\n")
            headings = [
                Heading(text, "right" if right else "left")
                for text, right in zip(block.headings, block.right, strict=True)
            ]
            show_table(headings, block.rows, notes=block.notes)
            print()
    if output is not None:
        text = (
            json.dumps(comparison_json(comparison), indent=2) + "\n"
            if output.suffix == ".json"
            else render_comparison(comparison)
        )
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, text.encode("utf-8"))
        print(f"written to {output}", file=sys.stderr)


def split_names(names: str) -> list[str]:
    """The names in an option's value, in order, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
