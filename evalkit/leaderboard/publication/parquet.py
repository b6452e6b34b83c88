"""Journals as one Parquet file, a row for each answer, for those who would rather load a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from evalkit.leaderboard.stored import StoredRun
from evalkit.scoring import ScoringSpec
from evalkit.scoring.score import predict

_GROUP = 50_000
"""Rows that are gathered before they are written together: small groups take more space."""

_SHOWN = 10
"""Rows that are named where many differ."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_TYPES = {
    **dict.fromkeys(("model", "audio", "task", "generation", "id", "request", "cluster"), "string"),
    **dict.fromkeys(("index", "repeat", "input_tokens", "output_tokens"), "int64"),
    **dict.fromkeys(("references", "choices"), "list"),
    "seconds": "float64",
    **dict.fromkeys(("text", "finish_reason", "error"), "string"),
    "choice_logprobs": "float list",
    "choice_tokens": "int list",
    **dict.fromkeys(("answer", "status", "fields"), "string"),
}


def parquet_bytes(runs: Sequence[StoredRun]) -> bytes:
    """The journals of `runs`, in their order; `answer` and `status` are those of the first filter chain.

    `fields` is JSON. Equal journals give equal bytes with the same version of pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    out = BytesIO()
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for place, run in enumerate(runs):
            waiting += rows(run)
            if len(waiting) >= _GROUP or place == len(runs) - 1:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting.clear()
    return out.getvalue()


def rows(run: StoredRun) -> list[dict[str, Any]]:
    """The run's answers in data set order, as the table has them."""
    spec = ScoringSpec.from_dict(run.result.scoring)
    entries = run.entries()
    found = {(one.entry.id, one.entry.repeat): one for one in predict(entries, spec, spec.filters[0])}
    about = {
        "model": run.result.model,
        "audio": run.result.audio,
        "task": run.result.task,
        "generation": run.result.fingerprints.generation,
    }
    made = []
    for entry in entries:
        # A chain that scores the first repeat only has no prediction for the others.
        prediction = found.get((entry.id, entry.repeat))
        response = entry.response
        made.append(
            _storable(
                {
                    **about,
                    **{
                        name: getattr(entry, name) for name in ("id", "request", "cluster", "index", "repeat")
                    },
                    **{name: getattr(response, name) for name in ("input_tokens", "output_tokens", "text")},
                    **{name: getattr(response, name) for name in ("finish_reason", "error")},
                    "references": list(entry.references),
                    "choices": list(entry.choices),
                    "seconds": entry.seconds,
                    "choice_logprobs": list(response.choice_logprobs),
                    "choice_tokens": list(response.choice_tokens),
                    "answer": prediction.answer if prediction else None,
                    "status": prediction.status if prediction else None,
                    "fields": json.dumps(dict(entry.fields), sort_keys=True),
                }
            )
        )
    return made


def differing_rows(path: Path, runs: Sequence[StoredRun]) -> Iterator[str]:
    """Which rows of the file are not what the journals say, in words, the first few by name.

    Rows are found by what they answer, so that one line less does not set all others against their neighbours.
    ValueError for no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, schema=_schema())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"cannot be read: {error}") from error
    due = [row for run in runs for row in rows(run)]
    if table.num_rows != len(due):
        yield f"has {table.num_rows} rows, the journals have {len(due)}"
    found = list(_differences(table.to_pylist(), due))
    yield from found[:_SHOWN]
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more rows"


def _differences(stored: Sequence[dict[str, Any]], due: Sequence[dict[str, Any]]) -> Iterator[str]:
    held = {_key(row): row for row in stored}
    known = {_key(row) for row in due}
    for again in due:
        row = held.get(_key(again))
        if row is None:
            yield f"{_where(again)} is missing"
            continue
        wrong = [name for name in _TYPES if not _same(row[name], again[name])]
        if wrong:
            yield f"{_where(again)}: {', '.join(wrong)} differ from the journal"
    yield from (f"{_where(row)} is in no journal" for row in stored if _key(row) not in known)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "audio", "task", "generation", "id", "repeat"))


def _where(row: dict[str, Any]) -> str:
    return f"{row['model']}, {row['task']}, sample {row['id']!r}"


def _schema() -> Any:
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "list": pa.list_(pa.string()),
        "float list": pa.list_(pa.float64()),
        "int list": pa.list_(pa.int64()),
    }
    return pa.schema([(name, types[kind]) for name, kind in _TYPES.items()])


def _storable(value: Any) -> Any:
    """Half surrogate pairs, which UTF-8 has no bytes for, as the replacement character."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return value


def _same(stored: Any, again: Any) -> bool:
    if isinstance(stored, list) and isinstance(again, list):
        return len(stored) == len(again) and all(map(_same, stored, again))
    return bool(stored == again) or (stored != stored and again != again)
