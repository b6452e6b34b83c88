"""`metadata` of a task file as pydantic models, and what they share with the rest of the document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from evalkit.tasks.schema import LongAudioPolicy
from evalkit.tasks.source import FunctionName


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | FunctionName) else value


TextList = Annotated[list[str], BeforeValidator(as_list)]
Version = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) in (int, float) else v)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ReferenceScoreEntry(_Strict):
    model: str
    metric: str
    value: float
    source: Annotated[str, Field(min_length=1)]
    note: str = ""


class LongAudioEntry(_Strict):
    policy: LongAudioPolicy
    seconds: Annotated[float, Field(gt=0)]


class Evidence(_Strict):
    """Where each fact about a public data set was checked; what is missing was not checked."""

    split: str = ""
    columns: str = ""
    n: str = ""
    license: str = ""
    metric: str = ""


class EvalkitMeta(_Strict):
    family: str = ""
    side: Literal["", "semantic", "paralinguistic"] = ""
    language: str = ""
    cluster: str = ""
    license: str = ""
    summary: str = ""
    status: str = ""
    majority: str = ""
    transcript: str = ""
    slices: TextList = []
    id: str | None = "id"
    n: Annotated[int, Field(ge=1)] | None = None
    gating: str = ""
    prompt_source: str = ""
    evidence: Evidence = Evidence()
    reference_scores: list[ReferenceScoreEntry] = []
    long_audio: LongAudioEntry | None = None


class Metadata(_Strict):
    version: Version = "1"
    evalkit: EvalkitMeta = EvalkitMeta()
