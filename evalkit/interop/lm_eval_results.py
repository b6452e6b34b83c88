"""An evalkit result in the JSON that lm-evaluation-harness writes, for tools that read it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from evalkit.results.record import MetricValue, Result

FILE_NAME = "lm_eval_results.json"


def lm_eval_results(result: Result) -> dict[str, Any]:
    """The keys of lm-eval 0.4's `EvalResults`. Its `*_stderr` is half the 95 % interval over 1.96."""
    values: dict[str, Any] = {"alias": result.task, "sample_len": result.n}
    for key, value in result.metrics.items():
        metric, _, chain = key.partition(",")
        values[key] = value.value if math.isfinite(value.value) else "N/A"
        values[f"{metric}_stderr,{chain}"] = _stderr(value)
    return {
        "results": {result.task: values},
        "group_subtasks": {result.task: []},
        "configs": {result.task: {"task": result.task, "metadata": {"version": result.task_version}}},
        "versions": {result.task: result.task_version},
        "n-shot": {result.task: 0},
        "higher_is_better": {
            result.task: {key.partition(",")[0]: one.higher_is_better for key, one in result.metrics.items()}
        },
        "n-samples": {result.task: {"original": result.n, "effective": result.n}},
        "config": {
            "model": "evalkit",
            "model_args": {"model": result.model, "audio": result.audio},
            "batch_size": result.provenance.batch_size,
            "device": result.provenance.device,
            "random_seed": result.provenance.seed,
        },
        "model_source": "evalkit",
        "model_name": result.model,
        "model_name_sanitized": result.model,
        "git_hash": result.provenance.revision,
        "task_hashes": {result.task: result.fingerprints.data},
        "total_evaluation_time_seconds": str(result.provenance.wall_seconds),
    }


def write_lm_eval_results(result: Result, folder: Path) -> Path:
    """Write it beside `result.json`; whole or not at all."""
    path = folder / FILE_NAME
    new = path.with_suffix(".new")
    new.write_text(json.dumps(lm_eval_results(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    new.replace(path)
    return path


def _stderr(value: MetricValue) -> float | str:
    if value.low is None or value.high is None:
        return "N/A"
    return (value.high - value.low) / 2 / 1.959963984540054
