"""Results as a pandas frame, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evalkit.results.record import MetricValue, Result
from evalkit.tasks.schema import STATUSES

if TYPE_CHECKING:
    import pandas as pd


def frame(results: Iterable[Result]) -> pd.DataFrame:
    """One row for each result and metric.

    Columns: model, audio, task, task_version, family, side, tags, metric, filter; value, low, high,
    level, method, clusters, higher_is_better, note; n, partial, one count for each status; the
    fingerprints (`generation`, `model_fingerprint`, `prompt`, `settings`, `data`, `scoring`); device,
    dtype, seed, parameters, active_parameters, started, wall_seconds, audio_seconds and `rtfx`
    (audio seconds for each second of wall time).
    """
    import pandas as pd

    return pd.DataFrame([_row(result, key) for result in results for key in result.metrics])


def _row(result: Result, key: str) -> dict[str, Any]:
    metric, _, chain = key.partition(",")
    value: MetricValue = result.metrics[key]
    prints = result.fingerprints.model_dump()
    made = result.provenance
    about = (
        "device",
        "dtype",
        "seed",
        "parameters",
        "active_parameters",
        "started",
        "wall_seconds",
        "audio_seconds",
    )
    return {
        "model": result.model,
        "audio": result.audio,
        "task": result.task,
        "task_version": result.task_version,
        "family": result.family,
        "side": result.side,
        "tags": result.tags,
        "metric": metric,
        "filter": chain or "none",
        **value.model_dump(),
        "n": result.n,
        "partial": result.partial,
        **{status: result.counts.get(status, 0) for status in STATUSES},
        "model_fingerprint": prints.pop("model"),
        **prints,
        **{name: getattr(made, name) for name in about},
        "rtfx": made.audio_seconds / made.wall_seconds if made.wall_seconds else float("nan"),
    }
