"""The result record and the journal line, as types. Reading and writing is `evalkit.results.store`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from evalkit.model import Response
from evalkit.tasks.schema import Status

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of `samples.jsonl`: all that scoring needs to know, so that it needs no audio and no model.

    request: hash of audio content, messages, choices; fields: the sample's values for slices;
    index: the sample's place in the data set, so that nothing depends on the order of batches.
    """

    id: str
    request: str
    references: tuple[str, ...]
    response: Response
    choices: tuple[str, ...] = ()
    cluster: str = ""
    index: int = 0
    repeat: int = 0
    seconds: float = 0.0
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A response, the answer extracted from it, and a status. `answer` is None when there is none."""

    entry: JournalEntry
    answer: str | None
    status: Status


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


def _nan_of_null(value: Any) -> Any:
    return float("nan") if value is None else value


class MetricValue(_Frozen):
    """A value with its interval; `note` says why an interval is missing or to be read with care.

    worst, best: the value if the samples that failed had all been wrong, or all right; None without failures.
    A value that is not defined is NaN here and null in JSON.
    """

    value: Annotated[float, BeforeValidator(_nan_of_null)]
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    method: str = ""
    clusters: int = 0
    higher_is_better: bool = True
    note: str = ""
    worst: float | None = None
    best: float | None = None


class Fingerprints(_Frozen):
    """SHA-256 hashes that say how a result was made (see docs: prompt, settings, data, scoring, model).

    `generation` covers model + prompt + settings + dtype + audio setting + hints; the parts stand alone
    beside it, so that a refused comparison can name the field that differs. `hints` is "" for a model
    that reads none; they may differ within a column, since they are no part of the question.
    """

    generation: str
    model: str
    prompt: str
    settings: str
    data: str
    scoring: str
    hints: str = ""


class Provenance(_Frozen):
    """Where and with what a result was made. None of it takes part in a fingerprint.

    backbone, model_args: what the user had the model loaded with; peak_memory: bytes, of the GPU where there
    is one, else of the process; projector_flops: for a second of audio, by formula; 0 for what is not known.
    cost: US dollars; choices: how they were answered, "log-likelihood" or "extracted letter" ("" without any).
    """

    evalkit: str
    revision: str = ""
    packages: Mapping[str, str] = Field(default_factory=dict)
    python: str = ""
    platform: str = ""
    device: str = ""
    device_name: str = ""
    dtype: str = ""
    batch_size: str = ""
    seed: int = 0
    sources: Mapping[str, str] = Field(default_factory=dict)
    parameters: int = 0
    active_parameters: int = 0
    started: str = ""
    wall_seconds: float = 0.0
    audio_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    choices: str = ""
    backbone: str = "mini"
    model_args: Mapping[str, str] = Field(default_factory=dict)
    peak_memory: int = 0
    projector_flops: float = 0.0


class Result(_Frozen):
    """One model on one task.

    chance: accuracy of a uniform guess among each sample's choices; None for answers in free text.
    """

    schema_version: int = SCHEMA_VERSION
    model: str
    task: str
    task_version: str = "1"
    family: str = ""
    side: str = ""
    tags: tuple[str, ...] = ()
    audio: str = "real"
    n: int
    partial: bool = False
    metrics: Mapping[str, MetricValue]
    counts: Mapping[str, int]
    chance: float | None = None
    fingerprints: Fingerprints
    provenance: Provenance
    scoring: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("scoring")
    @classmethod
    def _names_metrics(cls, scoring: Mapping[str, Any]) -> Mapping[str, Any]:
        listed = scoring.get("metrics", [])
        if not isinstance(listed, list | tuple) or not all(
            isinstance(one, Mapping) and isinstance(one.get("metric"), str) for one in listed
        ):
            raise ValueError("metrics must be a list of mappings that each name a metric")
        return scoring
