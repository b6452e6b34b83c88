"""Weights named ORG/NAME on the hub, or in a local folder, and the adapter that fits them (`hf:NAME`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.artifacts import file_sha256
from evalkit.model import Card, LoadOptions, Model, ModelInfo

# What a checkpoint is made of: weights, configurations, tokenizers, templates.
FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.npz")
CODE = "*.py"
CARD_KEYS = ("model", "revision")


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint on this machine. identity: hub name and commit, or the hash of a local folder's files."""

    folder: Path
    identity: str
    source: str
    config: Mapping[str, Any]

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))

    @property
    def architecture(self) -> str:
        return str((self.config.get("architectures") or [""])[0])


def fetch_weights(card: Card, options: LoadOptions) -> Weights:
    """The checkpoint that the card's config names by `model` (and `revision`).

    Local folders start with `.`, `/` or `~` or exist; relative ones start at the card's folder. Anything
    else is fetched from the hub, once. Raises ValueError for what is nowhere to be had, and for code that
    comes with weights unless the user trusts it.
    """
    name = str(card.config.get("model", ""))
    if not name:
        raise ValueError(f"{card.name}: its config needs `model`: ORG/NAME on the hub, or a folder")
    folder = card.path.parent / Path(name).expanduser()
    if folder.is_dir():
        weights = _local(folder)
    elif name.startswith((".", "/", "~")):
        raise ValueError(f"{card.name}: there is no folder {folder}")
    else:
        weights = _fetched(name, options.args.get("revision") or card.config.get("revision") or None)
    if "auto_map" in weights.config and not options.trust_remote_code and not _known(weights):
        raise ValueError(
            f"{card.name}: {weights.source} brings code of its own; read it, then allow it by --trust-remote-code"
        )
    return weights


def check_args(card: Card, options: LoadOptions, *known: str) -> None:
    """ValueError for a key of the card's config, or of `--model-args`, that nothing reads."""
    in_card, in_args = (*CARD_KEYS, *known), ("revision", *known)
    for given, what, keys in (
        (card.config, "config of", in_card),
        (options.args, "--model-args for", in_args),
    ):
        odd = sorted(set(given) - set(keys))
        if odd:
            raise ValueError(f"{what} {card.name}: unknown key {odd[0]!r}; known are {', '.join(keys)}")


def setting(card: Card, options: LoadOptions, key: str) -> Any:
    """The value of a key: the user's before the card's; None without either."""
    return options.args.get(key, card.config.get(key))


def identify(weights: Weights, **identity: Any) -> str:
    """SHA-256 over the weights and what else determines a model's answers."""
    return hashlib.sha256(
        json.dumps({"weights": weights.identity, **identity}, sort_keys=True).encode()
    ).hexdigest()


def load(card: Card, options: LoadOptions) -> Model:
    """Entry point `hf` of the group `evalkit.models`: whichever adapter fits the checkpoint's class."""
    found, fitting = adapter(card, options)
    loaded: Model = fitting.load(found, options)
    return loaded


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `hf` of the group `evalkit.infos`."""
    found, fitting = adapter(card, options)
    known: ModelInfo = fitting.info(found, options)
    return known


def adapter(card: Card, options: LoadOptions) -> tuple[Card, Any]:
    """The card for the adapter's own loader, and the adapter."""
    from model_adapters import ctc, hf_chat, whisper

    weights = fetch_weights(card, options)
    if weights.model_type == "whisper":
        return replace(card, loader="whisper"), whisper
    if weights.architecture.endswith("ForCTC"):
        return replace(card, loader="ctc"), ctc
    if hf_chat.takes_audio(weights):
        return replace(card, loader="hf_chat"), hf_chat
    raise ValueError(
        f"{card.name}: {weights.source} is a {weights.architecture or 'checkpoint without architectures'}; "
        "hf: loads Whisper, CTC recognisers and audio-text chat models"
    )


def _local(folder: Path) -> Weights:
    identity = _content(folder.resolve())
    return Weights(folder, identity, f"{folder.name} sha256:{identity[:16]}", _config(folder, str(folder)))


@cache
def _content(folder: Path) -> str:
    """Hash over the files of a checkpoint, whatever their place."""
    files = sorted({file for pattern in (*FILES, CODE) for file in folder.glob(pattern)})
    return hashlib.sha256(json.dumps([[file.name, file_sha256(file)] for file in files]).encode()).hexdigest()


def _fetched(name: str, revision: str | None) -> Weights:
    """A snapshot of the hub's repository. Its folder is called by its commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*FILES, CODE]))
    except HFValidationError as error:
        raise ValueError(f"{name!r} is neither a folder nor a name of the hub, ORG/NAME") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{name} cannot be fetched from the hub ({first}); gated models need a login (`hf auth login`), "
            "and behind a firewall a local folder works: --model hf:./folder"
        ) from error
    return Weights(folder, f"{name}@{folder.name}", f"{name} commit {folder.name}", _config(folder, name))


def _config(folder: Path, name: str) -> Mapping[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: no transformers checkpoint: its config.json cannot be read") from error
    if not isinstance(config, dict):
        raise ValueError(f"{name}: no transformers checkpoint: its config.json holds no object")
    return config


def _known(weights: Weights) -> bool:
    """Whether transformers has the class itself, so that the code beside the weights is not run."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return weights.model_type in CONFIG_MAPPING_NAMES
