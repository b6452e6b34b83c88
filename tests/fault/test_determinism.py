"""The same command gives the same bytes, but for the fields that are listed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clips import write_clips
from kills import MAY_DIFFER, run_of, same_run
from parrots import write_card

pytestmark = pytest.mark.fault
ROOT = Path(__file__).parents[2]


def run(site: Path, folder: Path, arguments: Sequence[str], seed: str) -> None:
    """seed: of Python's hashes, which must not show."""
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    folder.mkdir()
    subprocess.run(
        [sys.executable, "-m", "evalkit", "run", *arguments],
        cwd=folder,
        # No git is found, so that a commit made meanwhile is no difference.
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed, "PATH": str(folder)},
        check=True,
        capture_output=True,
        timeout=900,
    )


def differing(one: Any, other: Any, name: str = "") -> list[str]:
    """The names of the fields that differ, dotted."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [
            found
            for key in keys
            for found in differing(one.get(key), other.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if one == other else [name]


def test_two_runs_differ_in_the_listed_fields_at_most(site: Path, tmp_path: Path) -> None:
    task = write_clips(tmp_path, 12)
    card = write_card(tmp_path / "parrot.yaml")
    arguments = ["--model", str(card), "--tasks", str(task), "--seed", "3"]
    for seed in ("1", "2"):
        run(site, tmp_path / seed, arguments, seed)
    one, other = (run_of(tmp_path / seed) for seed in ("1", "2"))
    first, second = (json.loads((place / "result.json").read_bytes()) for place in (one, other))
    assert set(differing(first, second)) <= set(MAY_DIFFER)
    same_run(one, other)


@pytest.mark.slow
def test_two_runs_of_moe_adapter_answer_alike(site: Path, tmp_path: Path) -> None:
    arguments = ["--model", "moe_adapter", "--tasks", "mini_asr_en,mini_vocal_expression", "--limit", "6"]
    arguments += ["--device", "cpu"]
    for seed in ("1", "2"):
        run(site, tmp_path / seed, arguments, seed)
    places = sorted((tmp_path / "1").rglob("result.json"))
    assert len(places) == 2
    for place in places:
        same_run(place.parent, tmp_path / "2" / place.parent.relative_to(tmp_path / "1"))
