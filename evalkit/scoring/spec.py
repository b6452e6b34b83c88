"""How a task's responses are scored, as plain data that a result record carries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from evalkit import metrics
from evalkit.scoring import filters
from evalkit.tasks.schema import FilterSpec, MetricSpec, OutputType, Task
from evalkit.text import unknown

EXTRACTION_VERSION = 1

UNFILTERED = FilterSpec("none", ())

_KEYS = ("output_type", "filters", "metrics", "versions")


@dataclass(frozen=True, slots=True)
class ScoringSpec:
    """Extraction and metrics. Every chain of `filters` is scored by every metric."""

    output_type: OutputType
    metrics: tuple[MetricSpec, ...]
    filters: tuple[FilterSpec, ...] = (UNFILTERED,)

    @staticmethod
    def from_task(task: Task) -> ScoringSpec:
        """ValueError names the task and what in its metric_list or filter_list cannot be honoured."""
        spec = ScoringSpec(task.output_type, task.metrics, task.filters or (UNFILTERED,))
        try:
            spec.check()
        except ValueError as error:
            raise ValueError(f"task {task.name}: {error}") from error
        return spec

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> ScoringSpec:
        """The spec that `to_dict` wrote; its `versions` are what it was made with and are not read back."""
        for key in data:
            if key not in _KEYS:
                raise ValueError(unknown("key of a scoring record", key, _KEYS))
        if data.get("output_type") not in ("generate_until", "multiple_choice"):
            raise ValueError(f"scoring record: no such output_type: {data.get('output_type')!r}")
        try:
            chains = tuple(_chain(item) for item in data["filters"])
            listed = tuple(MetricSpec(item["metric"], dict(item["options"])) for item in data["metrics"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"scoring record is not complete: {error}") from error
        spec = ScoringSpec(cast("OutputType", data["output_type"]), listed, chains)
        spec.check()
        return spec

    def check(self) -> None:
        """ValueError for an unknown metric, option or filter step, or for two results under one key."""
        if not self.metrics:
            raise ValueError(f"no metric given; known: {', '.join(metrics.names())}")
        for spec in self.metrics:
            metrics.get(spec.metric, spec.options)
        for chain in self.filters:
            filters.check(chain, self.output_type)
        _distinct("metric", [spec.metric for spec in self.metrics])
        _distinct("filter", [chain.name for chain in self.filters])

    def fetch(self) -> None:
        """Bring what metrics need into the cache, so that no run ends before its scoring for want of it.

        Raises ArtifactError with what to do if it cannot be had.
        """
        for spec in self.metrics:
            metric = metrics.get(spec.metric, spec.options)
            if isinstance(metric, metrics.NeedsWeights):
                metric.fetch()

    def to_dict(self) -> dict[str, Any]:
        """JSON: what to score by, and under `versions` what the code in force makes of it."""
        return {
            "output_type": self.output_type,
            "filters": [
                {
                    "name": chain.name,
                    "filter": [{"function": name, **options} for name, options in chain.steps],
                }
                for chain in self.filters
            ],
            "metrics": [{"metric": spec.metric, "options": dict(spec.options)} for spec in self.metrics],
            "versions": self.versions(),
        }

    def versions(self) -> dict[str, Any]:
        """Versions of the extraction and, for every metric, its version and the options in force."""
        found = [metrics.get(spec.metric, spec.options) for spec in self.metrics]
        return {
            "extraction": EXTRACTION_VERSION,
            "metrics": {metric.name: {"version": metric.version, **metric.settings} for metric in found},
        }

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of filters and versions; an option left out equals its default."""
        content = {key: value for key, value in self.to_dict().items() if key != "metrics"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def _chain(item: Mapping[str, Any]) -> FilterSpec:
    steps = tuple(
        (step["function"], {key: value for key, value in step.items() if key != "function"})
        for step in item["filter"]
    )
    return FilterSpec(item["name"], steps)


def _distinct(kind: str, given: Sequence[str]) -> None:
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"{kind} {', '.join(twice)} is listed twice; results are told apart by that name")
