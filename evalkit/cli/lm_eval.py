"""`evalkit lm-eval`: what hearing cost the language model inside an audio model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalkit.cli.terminal import Heading, show_json, show_table

if TYPE_CHECKING:
    from evalkit.interop.text_arms import ArmDifference, ArmValue


def lm_eval(
    model: Annotated[str, typer.Option(help="A model by name or card file.")],
    tasks: Annotated[
        str, typer.Option(help="Text tasks of lm-eval, or task files of its kind, separated by commas.")
    ] = "everyday_knowledge",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many samples of a task.")
    ] = None,
    include_path: Annotated[
        list[Path] | None,
        typer.Option("--include-path", help="A folder with task files for lm-eval; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Number format of the weights.")] = "auto",
    backbone: Annotated[str, typer.Option(help="Where encoder and LLM come from: mini or hub.")] = "mini",
    seed: Annotated[int, typer.Option(help="Seed of intervals and tests.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run lm-eval's text tasks on the LLM alone, on the audio model without audio and with silence, paired.

    evalkit's models in lm-eval's own command line: `python -m evalkit.interop.lm_eval run --model evalkit
    --model_args model=moe_adapter --tasks ...`.
    """
    from evalkit.cards import resolve_model
    from evalkit.interop.text_arms import differences, text_arms
    from evalkit.model import LoadOptions

    names = [name.strip() for name in tasks.split(",") if name.strip()]
    if not names:
        raise ValueError("--tasks names nothing")
    options = LoadOptions(device, dtype, backbone, seed)
    values = text_arms(resolve_model(model), options, names, limit=limit, include=include_path or ())
    found = differences(values, seed=seed)
    if as_json:
        show_json(
            {"values": [_value(one) for one in values], "differences": [_difference(one) for one in found]}
        )
        return
    show_table(
        [Heading("task"), Heading("metric"), Heading("arm"), Heading("value")],
        [[one.task, one.metric, one.arm, f"{one.value:.3f}"] for one in values],
    )
    headings = ("task", "metric", "difference", "value", "95 % interval", "p", "n")
    show_table([Heading(text) for text in headings], [_row(one) for one in found])


def _row(one: ArmDifference) -> list[str]:
    bounds = one.interval
    interval = (
        "-" if bounds.low is None or bounds.high is None else f"{bounds.low:+.3f} to {bounds.high:+.3f}"
    )
    arms = f"{one.first} - {one.second}"
    return [
        one.task,
        one.metric,
        arms,
        f"{one.test.difference:+.3f}",
        interval,
        f"{one.test.p:.3f}",
        str(one.n),
    ]


def _value(one: ArmValue) -> dict[str, object]:
    return {"task": one.task, "metric": one.metric, "arm": one.arm, "value": one.value, "n": len(one.samples)}


def _difference(one: ArmDifference) -> dict[str, object]:
    return dataclasses.asdict(one)
