"""Trying commands on hostile input: what is tried, what came of it, and what must hold of every outcome."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
MEMORY = 2 << 30
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

Expected = Literal["refused", "fine", "either"]


@dataclass(frozen=True)
class Trial:
    """One command on one hostile input. says: what its message must name."""

    name: str
    arguments: tuple[str, ...]
    expected: Expected = "refused"
    says: str = ""


@dataclass(frozen=True)
class Outcome:
    trial: Trial
    code: int | None
    out: str
    err: str
    raised: str
    did: list[str]
    seconds: float
    peak: int


def attempt(
    folder: Path,
    trials: Sequence[Trial],
    site: Path,
    *,
    imports: Sequence[str] = (),
    limit: str = "RLIMIT_AS",
) -> list[Outcome]:
    """Run the commands in one process with 2 GB of memory at most. Only `folder/work` may be written to."""
    work = folder / "work"
    (work / "tmp").mkdir(parents=True, exist_ok=True)
    orders, report = folder / "orders.json", folder / "report.jsonl"
    order: dict[str, Any] = {
        "commands": [trial.arguments for trial in trials],
        "imports": list(imports),
        "writable": str(work),
        "data": str(folder),
        "limit": limit,
        "bytes": MEMORY,
    }
    orders.write_text(json.dumps(order), encoding="utf-8")
    path = os.pathsep.join([str(site), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    places = {"HOME": work, "TMPDIR": work / "tmp", "EVALKIT_CACHE": work / "cache", "XDG_CACHE_HOME": work}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(HERE / "trial.py"), str(orders), str(report)],
        cwd=work,
        env={
            **os.environ,
            **threads,
            **{key: str(value) for key, value in places.items()},
            "PYTHONPATH": path,
        },
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, f"the process of {len(trials)} trials died: {done.stderr[-3000:]}"
    lines = report.read_text(encoding="utf-8").splitlines()
    return [Outcome(trial, **json.loads(line)) for trial, line in zip(trials, lines, strict=True)]


def problems(outcome: Outcome) -> list[str]:
    """What the outcome breaks of the promise; empty for one that keeps it."""
    found = [f"did: {what}" for what in outcome.did]
    if outcome.raised:
        return [*found, f"raised {outcome.raised[-1500:]}"]
    if outcome.peak > MEMORY:
        found.append(f"took {outcome.peak >> 20} MB")
    if CONTROLS.search(outcome.out + outcome.err):
        found.append(f"printed control characters: {outcome.out + outcome.err!r:.300}")
    allowed = {"refused": (1, 2), "fine": (0,), "either": (0, 1, 2)}[outcome.trial.expected]
    if outcome.code not in allowed:
        found.append(f"exit {outcome.code}, expected {allowed}: {outcome.out[-300:]}{outcome.err[-500:]}")
    if outcome.code and not outcome.err.strip() and not outcome.out.strip():
        found.append("failed without a word")
    if outcome.trial.says and outcome.trial.says not in outcome.err + outcome.out:
        found.append(f"does not say {outcome.trial.says!r}: {outcome.err[-500:]}")
    return found


def broken(outcomes: Sequence[Outcome]) -> str:
    """Every broken promise as text, for an assertion to show; empty if all hold."""
    told = [f"{one.trial.name}: {problem}" for one in outcomes for problem in problems(one)]
    return "\n".join(told)
