"""A run as a process of its own: `toy_run.py DATA OUTPUT DELAY`. Exits 130 when it is interrupted."""

from __future__ import annotations

import sys
from pathlib import Path

from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.runner import RunSettings, run_task


def main() -> int:
    data, output, delay = sys.argv[1:]
    settings = RunSettings(Path(output), batch_size=3)
    try:
        run_task(TinyModel(delay=float(delay)), toy_task(Path(data)), settings)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
