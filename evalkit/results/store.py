"""Run folders: where they are, and reading and writing `run.json` and `result.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from evalkit.results.files import safe_name, write_atomically
from evalkit.results.fingerprint import fp8
from evalkit.results.record import SCHEMA_VERSION, JournalEntry, MetricValue, Result
from evalkit.results.run_record import RunRecord, first_mistake

JOURNAL_NAME = "samples.jsonl"
PUBLISHED_JOURNAL_NAME = "samples.jsonl.gz"
RUN_NAME = "run.json"
RESULT_NAME = "result.json"

Record = TypeVar("Record", bound=BaseModel)


def run_folder(output: Path, model: str, task: str, generation: str, limit: int | None = None) -> Path:
    """`<output>/<model>/<task>@<generation fp8>`, inside `output` whatever the names are.

    A limited run plans other batches than the full one, so it has a folder of its own.
    """
    suffix = "" if limit is None else f"-limit{limit}"
    return output / safe_name(model) / f"{safe_name(task)}@{fp8(generation)}{suffix}"


def build_result(
    run: RunRecord,
    entries: Sequence[JournalEntry],
    metrics: Mapping[str, MetricValue],
    counts: Mapping[str, int],
    *,
    scoring_fingerprint: str,
    scoring: Mapping[str, Any],
) -> Result:
    """The record of a finished run: `run.json`, what scoring found, and what the entries add up to."""
    meta = run.task.get("meta", {})
    return Result(
        model=run.model,
        task=run.task["name"],
        task_version=run.task.get("version", "1"),
        family=meta.get("family", ""),
        side=meta.get("side", ""),
        tags=tuple(run.task.get("tags", ())),
        audio=run.audio,
        n=len({entry.id for entry in entries}),
        partial=run.partial,
        metrics=dict(metrics),
        counts=dict(counts),
        chance=_chance(entries),
        fingerprints=run.fingerprints.model_copy(update={"scoring": scoring_fingerprint}),
        provenance=run.provenance.model_copy(
            update={
                "audio_seconds": sum(entry.seconds for entry in entries),
                "input_tokens": sum(entry.response.input_tokens for entry in entries),
                "output_tokens": sum(entry.response.output_tokens for entry in entries),
                "cost": math.fsum(entry.response.cost for entry in entries),
                "choices": _choices(run.task.get("output_type", ""), entries),
            }
        ),
        scoring=dict(scoring),
    )


def _chance(entries: Sequence[JournalEntry]) -> float | None:
    if not entries or not all(entry.choices for entry in entries):
        return None
    return math.fsum(1 / len(entry.choices) for entry in entries) / len(entries)


def _choices(output_type: str, entries: Sequence[JournalEntry]) -> str:
    """How choices were answered: "" for tasks that ask for text."""
    if output_type != "multiple_choice":
        return ""
    texts = any(entry.response.text is not None for entry in entries)
    return "extracted letter" if texts else "log-likelihood"


def write_result(path: Path, result: Result) -> None:
    """Write to `path`, or to `result.json` in it if it is a folder. Equal results give equal bytes."""
    _write(path / RESULT_NAME if path.is_dir() else path, result)


def read_result(path: Path) -> Result:
    """Read a result file, or the one in a run folder. ValueError names file and field."""
    return _read(path / RESULT_NAME if path.is_dir() else path, Result)


def write_run(folder: Path, run: RunRecord) -> None:
    _write(folder / RUN_NAME, run)


def read_run(folder: Path) -> RunRecord:
    """Read a run folder's `run.json`. ValueError names file and field."""
    return _read(folder / RUN_NAME, RunRecord)


def find_journal(folder: Path) -> Path:
    """The journal in a run folder, compressed or not. FileNotFoundError if there is none, ValueError for both."""
    found = [folder / name for name in (JOURNAL_NAME, PUBLISHED_JOURNAL_NAME) if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder / JOURNAL_NAME}: no such file, nor {PUBLISHED_JOURNAL_NAME}")
    if len(found) > 1:
        raise ValueError(f"{folder} holds two journals, {JOURNAL_NAME} and {PUBLISHED_JOURNAL_NAME}")
    return found[0]


def find_results(folder: Path) -> list[Path]:
    """All result files under `folder` (or the file itself), sorted. FileNotFoundError for no such place."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; results are written there by `evalkit run`")
    return sorted(folder.rglob(RESULT_NAME))


def _write(path: Path, record: BaseModel) -> None:
    text = json.dumps(_null(record.model_dump(mode="json")), sort_keys=True, indent=2, allow_nan=False)
    write_atomically(path, (text + "\n").encode("ascii"))


def _null(value: Any) -> Any:
    """NaN and infinities as null: strict JSON has no word for them."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {key: _null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null(item) for item in value]
    return value


def _read(path: Path, kind: type[Record]) -> Record:
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(values).__name__}")
    version = values.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ValueError(
            f"{path}: schema_version {version} is newer than this evalkit ({SCHEMA_VERSION}); update it"
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"{path}: {first_mistake(error)}") from error
