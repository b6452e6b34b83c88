"""What lies beside the runs of a published folder, all of it made from their records and journals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.leaderboard import RENDERERS, build_table, select
from evalkit.leaderboard.publication.model_index import model_index_files
from evalkit.leaderboard.publication.parquet import differing_rows, parquet_bytes
from evalkit.leaderboard.publication.readme import licences, readme
from evalkit.leaderboard.stored import StoredRun

PARQUET_NAME = "samples.parquet"
ENVIRONMENT_NAME = "environment.json"
TABLE_NAMES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json")
TITLE = "published results"


def shared_files(root: Path, runs: Sequence[StoredRun]) -> dict[str, bytes]:
    """Every such file by its name, in bytes. Equal runs give equal bytes."""
    texts = _texts(root, runs)
    return {PARQUET_NAME: parquet_bytes(runs), **{name: text.encode("utf-8") for name, text in texts.items()}}


def check_shared(root: Path, runs: Sequence[StoredRun]) -> Iterator[tuple[str, str, str]]:
    """What in such files does not agree with the runs: (file, field, what). Nothing for a folder of mere runs.

    Another version of evalkit may write them otherwise; then the numbers are still checked: the table as CSV
    and the samples as Parquet.
    """
    if not (root / ENVIRONMENT_NAME).is_file():
        return
    due = _texts(root, runs)
    if _published_with(root / ENVIRONMENT_NAME) != __version__:
        due = {"leaderboard.csv": due["leaderboard.csv"]}
    for name, text in due.items():
        yield from ((name, field, what) for field, what in _differing(root / name, text))
    try:
        yield from ((PARQUET_NAME, "", what) for what in differing_rows(root / PARQUET_NAME, runs))
    except ValueError as error:
        yield PARQUET_NAME, "", str(error)


def _texts(root: Path, runs: Sequence[StoredRun]) -> dict[str, str]:
    table = build_table(select((run.result for run in runs), mixed=True), allow_mixed=True)
    render: Mapping[str, Callable[..., str]] = RENDERERS
    return {
        **{name: render[Path(name).suffix](table, TITLE) for name in TABLE_NAMES},
        ENVIRONMENT_NAME: json.dumps(_environments(root, runs), indent=2, sort_keys=True) + "\n",
        "LICENSES.md": licences(runs),
        "README.md": readme(runs),
        **model_index_files(root, runs),
    }


def _environments(root: Path, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """With what the runs were made; runs made alike share an entry."""
    about = (
        "evalkit",
        "revision",
        "python",
        "platform",
        "device",
        "device_name",
        "dtype",
        "packages",
        "sources",
    )
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        made = run.result.provenance.model_dump(mode="json", include=set(about))
        entry = found.setdefault(json.dumps(made, sort_keys=True), {**made, "runs": []})
        entry["runs"].append(run.folder.relative_to(root).as_posix())
    return {"published_with": __version__, "environments": list(found.values())}


def _published_with(path: Path) -> str | None:
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        # Not JSON any more: it is held against what it should be, as if it were of this version.
        return __version__
    return values.get("published_with") if isinstance(values, dict) else __version__


def _differing(path: Path, text: str) -> Iterator[tuple[str, str]]:
    """The first line that is not as it should be."""
    if not path.is_file():
        yield "", "is missing"
        return
    stored = path.read_text(encoding="utf-8", errors="replace")
    if stored == text:
        return
    ours, theirs = text.splitlines(), stored.splitlines()
    places = range(max(len(ours), len(theirs)))
    first = next((at for at in places if ours[at : at + 1] != theirs[at : at + 1]), 0)
    says, due = (" ".join(lines[first : first + 1]) or "nothing" for lines in (theirs, ours))
    yield f"line {first + 1}", f"stored {says!r}, by the records {due!r}"
