"""`evalkit models`: the models that can be named, fetching their weights, importing a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from evalkit.cli.terminal import Heading, printable, show_json, show_table

if TYPE_CHECKING:
    from evalkit.model import Card

app = typer.Typer(help="List, show, fetch and import models.", invoke_without_command=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _default(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        list_models(as_json)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List every model that has a card."""
    from evalkit.cards import find_cards

    cards = find_cards()
    if as_json:
        show_json([_record(card) for card in cards])
        return
    headings = [Heading(text) for text in ("model", "loader", "license", "status", "summary")]
    show_table(
        headings, [[card.name, card.loader, card.license, card.status, card.summary] for card in cards]
    )


@app.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="A model's name, or a card file.")], as_json: AsJson = False
) -> None:
    """Show one model's card."""
    import yaml

    from evalkit.cards import resolve_model

    record = _record(resolve_model(name))
    if as_json:
        show_json(record)
    else:
        print(printable(yaml.safe_dump(record, sort_keys=False, allow_unicode=True)), end="")


@app.command("fetch")
def fetch_models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models; without a name, those that ship here.")
    ] = None,
    backbone: Annotated[
        Literal["mini", "hub"], typer.Option(help="Where encoder and LLM come from.")
    ] = "mini",
) -> None:
    """Fetch and convert the weights that models and metrics need, so that later runs need no network."""
    from evalkit.cards import fetch_model, find_cards, resolve_model
    from evalkit.metrics import embeddings
    from evalkit.model import LoadOptions

    # Checkpoints of others, gigabytes each, are fetched by name only; an arm without weights is to be trained.
    here = [card for card in find_cards() if "model" not in card.config and _has_weights(card)]
    cards = [resolve_model(name) for name in names] if names else here
    if not cards:
        raise ValueError("no model has a card, so there is nothing to fetch; reinstall evalkit")
    options = LoadOptions(backbone=backbone)
    for card in cards:
        fetched = fetch_model(card, options)
        print(f"{card.name}: {'ready' if fetched else 'needs nothing fetched'}", file=sys.stderr)
    embeddings.resolve()
    print("metric sentence_similarity: ready", file=sys.stderr)


@app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A checkpoint: .safetensors, a sharded index, or .pt.")],
    name: Annotated[str, typer.Option("--as", help="The name to give it.")],
    mapping: Annotated[
        Path | None, typer.Option(help="YAML that maps the checkpoint's keys to the projector's.")
    ] = None,
    loader: Annotated[str, typer.Option(help="The kind of model.")] = "audio_llm",
) -> None:
    """Turn a checkpoint of your own into a named model."""
    from evalkit.cards import import_model

    _, report = import_model(file, name, loader, mapping)
    print(printable(report), file=sys.stderr)
    print(f"evalkit run --model {name} --tasks asr,emotion", file=sys.stderr)


def _has_weights(card: Card) -> bool:
    """Whether the file that the card names is there, if it names one."""
    named = card.config.get("weights")
    return named is None or (card.path.parent / str(named)).exists()


def _record(card: Card) -> dict[str, Any]:
    return {
        "name": card.name,
        "loader": card.loader,
        "summary": card.summary,
        "license": card.license,
        "status": card.status,
        "config": dict(card.config),
        "path": str(card.path),
    }
