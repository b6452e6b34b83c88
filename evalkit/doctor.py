"""Whether this machine can run evalkit: what was found, and what to do where something is missing."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from evalkit import cards
from evalkit.artifacts import CACHE_VARIABLE, cache_dir
from evalkit.data import decode
from evalkit.results import hold
from evalkit.tasks.schema import AudioRef

DISTRIBUTION = "evalkit-audio"
# The mini backbone as it is fetched and as it is converted.
NEEDED_BYTES = 1 << 30
CODECS = {"WAV": "PCM_16", "FLAC": "PCM_16", "Ogg Vorbis": "VORBIS", "Opus": "OPUS", "MP3": "MPEG_LAYER_III"}

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """advice: what to do; "" where nothing needs to be done."""

    check: str
    state: State
    found: str
    advice: str = ""


def examine(output: Path) -> list[Finding]:
    """Every check in turn; `output` is the folder that runs will be written to.

    Nothing is fetched and nothing stays behind.
    """
    return [finding for check in (_python, _packages, _codecs, _device, _models) for finding in check()] + [
        *_folder("cache", cache_dir(), f"set {CACHE_VARIABLE} to a folder on a larger disk"),
        *_folder("output", output, "give `evalkit run` another --output"),
        _locks(output),
    ]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ">=3.11"
    fits = _fits(version, wanted)
    yield Finding("python", "ok" if fits else "problem", version, "" if fits else f"use Python {wanted}")


def _packages() -> Iterator[Finding]:
    """Every required package in a version that is allowed."""
    from packaging.requirements import Requirement

    good = 0
    for text in metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield Finding(f"package {requirement.name}", "problem", "missing", f"pip install '{wanted}'")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            good += 1
        else:
            yield Finding(f"package {requirement.name}", "problem", version, f"pip install '{wanted}'")
    yield Finding("packages", "ok", f"{good} as required")


def _codecs() -> Iterator[Finding]:
    """A short tone through every format, encoded and decoded in memory."""
    import numpy as np
    import soundfile

    tone = (0.5 * np.sin(np.arange(16_000) / 20)).astype(np.float32)
    failed = []
    for name, subtype in CODECS.items():
        file = io.BytesIO()
        container = "OGG" if subtype in ("VORBIS", "OPUS") else name
        try:
            soundfile.write(file, tone, 16_000, format=container, subtype=subtype)
            decode(AudioRef(name, data=file.getvalue()))
        except (ValueError, RuntimeError):
            failed.append(name)
    found = (
        f"libsndfile {soundfile.__libsndfile_version__}: {', '.join(c for c in CODECS if c not in failed)}"
    )
    if failed:
        advice = f"{', '.join(failed)} cannot be read: pip install --force-reinstall soundfile"
        yield Finding("audio codecs", "problem", found, advice)
    else:
        yield Finding("audio codecs", "ok", found)


def _device() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
        yield Finding("device", "ok", f"{torch.cuda.device_count()} x {', '.join(sorted(names))}")
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"CPU, {cores} cores, {torch.get_num_threads()} threads"
    built = torch.version.cuda
    if built:
        advice = "this torch is built for CUDA but sees no GPU: check `nvidia-smi` and the driver"
        yield Finding("device", "warning", found, advice)
    else:
        yield Finding("device", "ok", found)


def _models() -> Iterator[Finding]:
    """Cards that can be read, and loaders that can be imported."""
    try:
        found = cards.find_cards()
    except ValueError as error:
        yield Finding("models", "problem", str(error), "mend or remove this card")
        return
    loaders = {card.loader for card in found}
    missing = sorted(loaders - {entry.name for entry in metadata.entry_points(group=cards.LOADERS)})
    if missing:
        advice = f"install the package that brings the loader {missing[0]}, or reinstall evalkit"
        yield Finding("models", "problem", f"no loader {', '.join(missing)}", advice)
    else:
        yield Finding("models", "ok", f"{len(found)} cards, {len(loaders)} loaders")


def _folder(name: str, folder: Path, otherwise: str) -> Iterator[Finding]:
    """Whether files can be made in `folder`, and how much room there is."""
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        yield Finding(name, "problem", f"{folder}: cannot be written ({error.strerror})", otherwise)
        return
    free = shutil.disk_usage(there).free
    found = f"{folder}: {free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        advice = f"free {NEEDED_BYTES / 1e9:.0f} GB there, or {otherwise}"
        yield Finding(name, "warning", found, advice)
    else:
        yield Finding(name, "ok", found)


def _locks(folder: Path) -> Finding:
    """Whether the file system keeps two processes apart."""
    try:
        with tempfile.TemporaryDirectory(dir=_nearest(folder)) as place, hold(Path(place)):
            return Finding("locks", "ok", "work")
    except OSError as error:
        advice = "runs cannot be kept apart there; give `evalkit run` an --output on a local disk"
        return Finding("locks", "problem", error.strerror or str(error), advice)


def _nearest(folder: Path) -> Path:
    """The folder itself or the first above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())


def _fits(version: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version)
