from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FAULT = Path(__file__).parents[1] / "fault"
sys.path.insert(0, str(FAULT))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the package `parrots`."""
    from parrots import write_site

    return write_site(tmp_path_factory.mktemp("site") / "packages")


@pytest.fixture
def evalkit(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line as a process in `tmp_path/work`, with more variables of the environment if they are given."""

    def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        path = os.pathsep.join([str(site), str(FAULT.parents[1]), os.environ.get("PYTHONPATH", "")])
        own = {"PYTHONPATH": path, "EVALKIT_CACHE": str(tmp_path / "cache"), **variables}
        return subprocess.run(
            [sys.executable, "-m", "evalkit", *arguments],
            cwd=work,
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return call
