"""What every benchmark reports beside its figures, and how it writes them."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.results.provenance import git_revision


def machine() -> dict[str, Any]:
    """The code, the interpreter and the cores; torch and its threads where this process has loaded it."""
    torch = sys.modules.get("torch")
    told = {"revision": git_revision(), "python": platform.python_version(), "cores": os.cpu_count()}
    return told if torch is None else told | {"torch": torch.__version__, "threads": torch.get_num_threads()}


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def write(report: Mapping[str, Any], out: Path | None) -> None:
    """As JSON to the file `out`, which is replaced whole, or to stdout."""
    text = json.dumps(report, indent=2)
    if out is None:
        print(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(out)


def read(out: Path | None) -> dict[str, Any]:
    """What `write` left there; nothing where there is nothing."""
    if out is None or not out.exists():
        return {}
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report
