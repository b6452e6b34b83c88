"""`model-index`: results as the metadata of a Hugging Face model card knows them.

https://github.com/huggingface/hub-docs/blob/main/modelcard.md gives the keys.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evalkit.leaderboard.stored import StoredRun, listed_metrics
from evalkit.leaderboard.values import metric_name

NAME = "model-index.yaml"

# The hub's own names of tasks, as far as it has one.
_TASK_TYPES = {
    "asr": "automatic-speech-recognition",
    "captioning": "audio-to-text",
    "emotion": "audio-classification",
    "speaker": "audio-classification",
    "music_qa": "audio-text-to-text",
}


def model_index_files(root: Path, runs: Sequence[StoredRun]) -> dict[str, str]:
    """For every model, in its folder, a file to paste into the front matter of its card."""
    models: dict[str, list[StoredRun]] = {}
    for run in runs:
        if run.result.audio == "real":
            models.setdefault(f"{run.folder.parent.relative_to(root).as_posix()}/{NAME}", []).append(run)
    return {name: _yaml(own) for name, own in models.items()}


def model_index(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """The model index of one model's runs with real audio. Values are those of the records, not percent."""
    return [{"name": runs[0].result.model, "results": [_result(run) for run in runs]}]


def _yaml(runs: Sequence[StoredRun]) -> str:
    return yaml.safe_dump({"model-index": model_index(runs)}, sort_keys=False, allow_unicode=False)


def _result(run: StoredRun) -> dict[str, Any]:
    result, task = run.result, run.record().task
    return {
        "task": {"type": _TASK_TYPES.get(result.family, "audio-text-to-text"), "name": result.task},
        "dataset": {
            "type": str(task["dataset_path"]),
            "name": result.task,
            **({"config": task["dataset_name"]} if task.get("dataset_name") else {}),
            "split": str(task.get("test_split", "test")),
        },
        "metrics": [
            {
                "type": key.partition(",")[0],
                "value": value.value if math.isfinite(value.value) else None,
                "name": _with_interval(key, value.low, value.high, result.n),
            }
            for key, value in listed_metrics(result)
        ],
    }


def _with_interval(key: str, low: float | None, high: float | None, n: int) -> str:
    bounds = "" if low is None or high is None else f", 95 % interval {low:.4g} to {high:.4g}"
    return f"{metric_name(key)} (n = {n}{bounds})"
