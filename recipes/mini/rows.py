"""The clip record, and how data files and manifests are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.mini import audio
from recipes.mini.packages import Package, sha256_file

REPOSITORY = Path(__file__).resolve().parents[2]
TEST_DATA = REPOSITORY / "tasks" / "mini" / "data"
MANIFESTS = Path(__file__).with_name("manifests")


@dataclass(frozen=True)
class Clip:
    """One source recording with its labels. `fields` goes to the data row, `notes` to the manifest only."""

    id: str
    package: Package
    path: str  # inside the package
    file: Path  # unpacked
    group: str
    license: str
    fields: dict[str, str]
    notes: dict[str, str] = field(default_factory=dict)


def slug(*parts: str) -> str:
    """Lower-case id of letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line, in the order given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def data_row(clip: Clip) -> dict[str, str]:
    """The row that tasks and training read."""
    return {
        "id": clip.id,
        "audio": f"audio/{clip.id}.opus",
        **clip.fields,
        "group": clip.group,
        "license": clip.license,
        "source": f"{clip.package.name} {clip.package.version}: {clip.path}",
    }


def manifest_row(clip: Clip) -> dict[str, str]:
    """The row that says where a clip came from."""
    return {
        "id": clip.id,
        "package": clip.package.name,
        "version": clip.package.version,
        "path": clip.path,
        "sha256": sha256_file(clip.file),
        "license": clip.license,
        **clip.fields,
        "group": clip.group,
        **clip.notes,
    }


def write_split(task: str, split: str, clips: Sequence[Clip], folder: Path) -> None:
    """Write audio, `<split>.jsonl` and the manifest of one split. `folder` ends as the task's data folder."""
    clips = sorted(clips, key=lambda c: c.id)
    wanted = {f"{c.id}.opus" for c in clips}
    for stale in (folder / "audio").glob("*.opus"):
        if stale.name not in wanted:
            stale.unlink()
    for clip in clips:
        target = folder / "audio" / f"{clip.id}.opus"
        if not target.exists():
            audio.encode(audio.load(clip.file), target)
    write_jsonl(folder / f"{split}.jsonl", map(data_row, clips))
    write_jsonl(MANIFESTS / f"{task}.{split}.jsonl", map(manifest_row, clips))
