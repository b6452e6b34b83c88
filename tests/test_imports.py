"""What must not be loaded by commands that only look things up."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "datasets", "lm_eval", "sklearn", "pandas", "scipy")
PROGRAM = """
import sys
from evalkit.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print("loaded:", *sorted(name for name in {heavy!r} if name in sys.modules))
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["tasks"], ["tasks", "--json"], ["models"], ["--version"]],
    ids=" ".join,
)
def test_looking_things_up_loads_no_heavy_package(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROGRAM.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["loaded:"]


def test_the_check_sees_a_loaded_package() -> None:
    program = "import pandas\n" + PROGRAM.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.splitlines()[-1].split() == ["loaded:", "pandas"]
