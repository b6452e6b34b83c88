"""Where and with what a result was made, without saying who made it: no host, user or home path."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from evalkit import __version__
from evalkit.model import LoadOptions, ModelInfo
from evalkit.results.record import Provenance

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "safetensors",
    "accelerate",
    "peft",
    "gguf",
    "numpy",
    "scipy",
    "scikit-learn",
    "jiwer",
    "whisper-normalizer",
    "soundfile",
    "soxr",
    "jinja2",
    "pydantic",
    "lm-eval",
)
DEFAULTS = LoadOptions()
SOURCE_FOLDERS = ("evalkit", "model_adapters", "tasks")


def provenance(info: ModelInfo, *, batch_size: str, seed: int, options: LoadOptions = DEFAULTS) -> Provenance:
    """What is known before the first sample; times and token counts are added when the run has ended."""
    return Provenance(
        evalkit=__version__,
        revision=git_revision(),
        packages=dict(package_versions()),
        python=platform.python_version(),
        platform=" ".join(
            part for part in (platform.system(), platform.machine(), *platform.libc_ver()) if part
        ),
        device=info.device,
        device_name=device_name(info.device),
        dtype=info.dtype,
        batch_size=batch_size,
        seed=seed,
        sources={name: without_home(source) for name, source in info.sources.items()},
        parameters=info.parameters,
        active_parameters=info.active_parameters,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        backbone=options.backbone,
        model_args={name: without_home(value) for name, value in sorted(options.args.items())},
    )


@functools.cache
def package_versions() -> Mapping[str, str]:
    """Versions of the installed packages that can change a number; nothing is imported."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@functools.cache
def git_revision() -> str:
    """The commit of the checkout that evalkit runs from, when first asked, with `+dirty`; "" without a checkout."""
    root = Path(__file__).resolve().parents[2]
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    commit = _git(git, root, "rev-parse", "HEAD")
    if commit and _git(git, root, "status", "--porcelain", "--", *SOURCE_FOLDERS):
        return commit + "+dirty"
    return commit


def device_name(device: str) -> str:
    """What the device calls itself: the GPU's name, or the processor's model name; "" for a server's."""
    if device == "remote":
        return ""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(torch.device(device)))
    info = Path("/proc/cpuinfo")
    if sys.platform == "linux" and info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.machine()
    return platform.machine()


def without_home(text: str) -> str:
    """`text` with the user's home folder written as `~`, so that records do not name a user."""
    home = str(Path.home())
    return text.replace(home, "~") if len(home) > 1 else text


def _git(git: str, root: Path, *arguments: str) -> str:
    command = [git, "-C", str(root), *arguments]
    try:
        # The program is git by its full path, the arguments are constants.
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
