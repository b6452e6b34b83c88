"""Scoring any JSONL of predictions without a model.

One object a line: `id`, `prediction`, and `reference` (one) or `references` (a list); optionally `choices`
(a list: the answer is then extracted from the prediction) and `cluster`. A prediction of null is a failure,
counted as wrong. Numbers are read as their text. Other keys are kept as fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.model import Response
from evalkit.results.record import JournalEntry
from evalkit.scoring.score import Scored, score
from evalkit.scoring.spec import ScoringSpec
from evalkit.tasks.schema import MetricSpec

_SHOWN = 5
_OWN = ("id", "prediction", "reference", "references", "choices", "cluster")


def score_file(path: Path, metrics: Sequence[MetricSpec], *, seed: int = 0) -> Scored:
    """Score the file with the given metrics. ValueError lists the first lines that cannot be read."""
    spec = ScoringSpec("generate_until", tuple(metrics))
    spec.check()
    return score(read_predictions(path), spec, seed=seed)


def read_predictions(path: Path) -> list[JournalEntry]:
    """The lines of the file as journal entries.

    Raises FileNotFoundError if there is no such file, ValueError (with line numbers) for bad JSON, bad
    UTF-8, missing keys, wrong types and repeated ids. Blank lines and a byte order mark are skipped.
    """
    entries: list[JournalEntry] = []
    mistakes: list[str] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(path.read_bytes().split(b"\n"), start=1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if not line.strip():
            continue
        try:
            entry = _entry(line)
        except ValueError as error:
            mistakes.append(f"line {number}: {error}")
            continue
        if entry.id in seen:
            mistakes.append(f"line {number}: id {entry.id!r} was already used in line {seen[entry.id]}")
        seen.setdefault(entry.id, number)
        entries.append(entry)
    if mistakes:
        more = f"\n  and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise ValueError(f"{path}: cannot be scored\n  " + "\n  ".join(mistakes[:_SHOWN]) + more)
    if not entries:
        raise ValueError(f"{path}: holds no predictions")
    return entries


def _entry(line: bytes) -> JournalEntry:
    data = _object(line)
    for key in ("id", "prediction"):
        if key not in data:
            raise ValueError(f"key {key!r} is missing; each line needs id, prediction and reference(s)")
    prediction = data["prediction"]
    error = "the prediction is null" if prediction is None else None
    return JournalEntry(
        id=_text(data["id"], "id"),
        request="",
        references=_references(data),
        response=Response(
            text=None if prediction is None else _text(prediction, "prediction"),
            finish_reason="error" if error else "stop",
            error=error,
        ),
        choices=_texts(data.get("choices", []), "choices"),
        cluster=_text(data["cluster"], "cluster") if data.get("cluster") is not None else "",
        fields={key: value for key, value in data.items() if key not in _OWN},
    )


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start + 1})") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("is not usable JSON: nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError(f"must be a JSON object, not {type(data).__name__}")
    return data


def _references(data: Mapping[str, Any]) -> tuple[str, ...]:
    if ("reference" in data) == ("references" in data):
        raise ValueError("needs either 'reference' (one) or 'references' (a list)")
    if "reference" in data:
        return (_text(data["reference"], "reference"),)
    references = _texts(data["references"], "references")
    if not references:
        raise ValueError("'references' is empty")
    return references


def _texts(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{key!r} must be a list, not {type(value).__name__}")
    return tuple(_text(item, key) for item in value)


def _text(value: object, key: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{key!r} must be a text, not {type(value).__name__}")
