"""`evalkit score`: metrics over predictions from anywhere, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalkit.cli.terminal import Heading, show_json, show_table


def score(
    file: Annotated[Path, typer.Argument(help="JSONL: id, prediction, and reference or references.")],
    metric: Annotated[list[str], typer.Option(help="A metric's name; repeatable.")],
    normalizer: Annotated[
        str | None, typer.Option(help="How texts are normalised before they are compared.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the interval's resampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a file of predictions against their references."""
    from evalkit.leaderboard.values import (
        BOUNDS,
        CAPTION,
        bounds_text,
        failures_text,
        interval_text,
        metric_label,
        value_text,
    )
    from evalkit.scoring import score_file
    from evalkit.tasks.schema import MetricSpec

    options = {} if normalizer is None else {"normalizer": normalizer}
    scored = score_file(file, [MetricSpec(name, options) for name in metric], seed=seed)
    if as_json:
        metrics = {key: value.model_dump(mode="json") for key, value in scored.metrics.items()}
        show_json({"n": len(scored.predictions), "counts": dict(scored.counts), "metrics": metrics})
        return
    headings = [Heading("metric"), Heading("value", "right"), Heading("95 % interval"), Heading("n", "right")]
    headings += [Heading("failures"), Heading("note")]
    rows = [
        [
            metric_label(key, value.higher_is_better),
            value_text(key, value.value),
            f"{interval_text(key, value)} {bounds_text(key, value)}".strip(),
            str(len(scored.predictions)),
            failures_text(scored.counts) or "none",
            value.note,
        ]
        for key, value in scored.metrics.items()
    ]
    failed = any(value.worst is not None for value in scored.metrics.values())
    show_table(headings, rows, caption=CAPTION, notes=[BOUNDS] if failed else [])
