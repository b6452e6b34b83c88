"""YAML that is plain data and stays small: for files without the line numbers that task files are checked by."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1 << 20


class _NoAliases(yaml.SafeLoader):
    """A few aliases of aliases stand for gigabytes, and plain data need none."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (`*name`) are not allowed here; write the value out")
        return super().compose_node(parent, index)


def read_plain_yaml(path: Path) -> Any:
    """What the file holds, as dicts, lists and scalars.

    Raises ValueError in one line, without the file's name, for what is too large, no file, nested too deeply,
    no UTF-8 or no plain YAML (tags included); OSError for what cannot be opened.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _NoAliases)  # noqa: S506
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(" ".join(str(error).split())) from error
