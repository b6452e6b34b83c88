"""Results as a pandas frame, for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from evalkit.leaderboard.seeds import arm_and_seed
from evalkit.results.record import MetricValue, Result
from evalkit.tasks.schema import STATUSES

if TYPE_CHECKING:
    import pandas as pd


def frame(results: Iterable[Result]) -> pd.DataFrame:
    """One row for each result and metric.

    Columns: model, audio, task, task_version, family, side, tags, metric, filter; value, low, high,
    level, method, clusters, higher_is_better, note, worst, best; n, partial, one count for each status; the
    fingerprints (`generation`, `model_fingerprint`, `prompt`, `settings`, `data`, `scoring`); `arm` and
    `training_seed`, by the model's name (`moe-s1` is seed 1 of `moe`); device, dtype, backbone, seed,
    parameters, active_parameters, projector_flops (a second of audio), peak_memory (bytes), started,
    wall_seconds, audio_seconds and `rtfx` (audio seconds for each second of wall time).
    """
    import pandas as pd

    return pd.DataFrame([_row(result, key) for result in results for key in result.metrics])


def _row(result: Result, key: str) -> dict[str, Any]:
    metric, _, chain = key.partition(",")
    value: MetricValue = result.metrics[key]
    prints = result.fingerprints.model_dump()
    made = result.provenance
    arm, training_seed = arm_and_seed(result.model)
    about = (
        "device",
        "dtype",
        "backbone",
        "seed",
        "parameters",
        "active_parameters",
        "projector_flops",
        "peak_memory",
        "started",
        "wall_seconds",
        "audio_seconds",
    )
    return {
        "model": result.model,
        "arm": arm,
        "training_seed": training_seed,
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
