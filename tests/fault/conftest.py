from __future__ import annotations

from pathlib import Path

import pytest
from parrots import write_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the package `parrots`."""
    return write_site(tmp_path_factory.mktemp("site") / "packages")
