"""The task YAML as pydantic models, with lm-evaluation-harness's key names.

What lm-eval has no word for stands under `metadata.evalkit`. An unknown key is a mistake, never ignored.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from evalkit.tasks.errors import Mistake, did_you_mean
from evalkit.tasks.metadata import (
    EvalkitMeta,
    Evidence,
    LongAudioEntry,
    Metadata,
    ReferenceScoreEntry,
    TextList,
    as_list,
)
from evalkit.tasks.schema import LongAudioPolicy, OutputType
from evalkit.tasks.source import FunctionName, Source, dotted, shorten

M = TypeVar("M", bound=BaseModel)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}")

_FOREIGN = frozenset(
    """
    aggregate_metric_list custom_dataset doc_to_decontamination_query fewshot_config fewshot_delimiter
    fewshot_split gen_prefix group_alias num_fewshot process_docs process_results should_decontaminate
    target_delimiter task_alias training_split unsafe_code use_prompt validation_split
    """.split()  # noqa: SIM905 - names read better without quotes
)


def _template(value: Any) -> Any:
    if isinstance(value, str | FunctionName):
        return value
    raise PydanticCustomError("string_type", "must be text")


def _name(value: str) -> str:
    if NAME.fullmatch(value):
        return value
    raise PydanticCustomError(
        "name", "must be letters, digits and `_ . + -`, at most 120, not beginning with a sign"
    )


def _shape(value: Any) -> str:
    return "<list>" if isinstance(value, list) else "<one>"


TextOrFunction = Annotated[Any, PlainValidator(_template)]
Name = Annotated[str, PlainValidator(lambda v: _name(_template(v)))]
Names = Annotated[list[Name], BeforeValidator(as_list)]
TemplateList = Annotated[list[TextOrFunction], BeforeValidator(as_list), Field(min_length=1, max_length=64)]
Choices = Annotated[
    Annotated[list[str], Field(min_length=2), Tag("<list>")] | Annotated[TextOrFunction, Tag("<one>")],
    Discriminator(_shape),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _Open(_Strict):
    """Named options beside the fixed keys: whoever uses them checks them."""

    model_config = ConfigDict(extra="allow")


class GenerationKwargs(_Strict):
    max_gen_toks: Annotated[int, Field(ge=1, le=100_000)] = 128
    do_sample: bool = False
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    until: TextList = []

    @model_validator(mode="after")
    def _sampling(self) -> GenerationKwargs:
        if self.do_sample and self.temperature == 0:
            raise PydanticCustomError("sampling", "`do_sample: true` needs a temperature above 0")
        if not self.do_sample and (self.temperature not in (None, 0, 1) or self.top_p not in (None, 1)):
            raise PydanticCustomError(
                "sampling",
                "temperature and top_p do nothing without `do_sample: true`; say it or remove them",
            )
        return self


class FilterStep(_Open):
    function: str


class FilterEntry(_Strict):
    name: str
    filter: Annotated[list[FilterStep], Field(min_length=1)]


class MetricEntry(_Open):
    metric: str


class TaskDocument(_Strict):
    """One task. Keys mean what they mean in lm-evaluation-harness."""

    task: Name
    group: Names = []
    tag: Names = []
    dataset_path: Annotated[str, Field(min_length=1)]
    dataset_name: str | None = None
    dataset_kwargs: dict[str, Any] = {}
    test_split: Annotated[str, Field(min_length=1)] = "test"
    description: str = ""
    doc_to_audio: TemplateList = ["audio"]
    doc_to_text: TextOrFunction
    doc_to_target: TextOrFunction
    doc_to_choice: Choices | None = None
    output_type: OutputType = "generate_until"
    generation_kwargs: GenerationKwargs = GenerationKwargs()
    filter_list: list[FilterEntry] = []
    metric_list: Annotated[list[MetricEntry], Field(min_length=1)]
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    metadata: Metadata = Metadata()


class GroupDocument(_Strict):
    """A suite: a name for tasks, tags and other groups."""

    group: Name
    task: Annotated[Names, Field(min_length=1)]
    metadata: Metadata = Metadata()


_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    ("metadata",): Metadata,
    ("metadata", "evalkit"): EvalkitMeta,
    ("metadata", "evalkit", "evidence"): Evidence,
    ("metadata", "evalkit", "long_audio"): LongAudioEntry,
    ("metadata", "evalkit", "reference_scores"): ReferenceScoreEntry,
    ("generation_kwargs",): GenerationKwargs,
    ("filter_list",): FilterEntry,
    ("filter_list", "filter"): FilterStep,
    ("metric_list",): MetricEntry,
}


def is_group(data: dict[str, Any]) -> bool:
    """A group's `task` is a list; a task's is its name."""
    return "group" in data and (isinstance(data.get("task"), list) or "task" not in data)


def check_task(source: Source) -> TaskDocument | None:
    """The document, or None after adding what is wrong to `source.mistakes`."""
    document = _check(source, TaskDocument)
    if document is None:
        return None
    _check_together(source, document)
    return document


def check_group(source: Source) -> GroupDocument | None:
    return _check(source, GroupDocument)


def _check(source: Source, model: type[M]) -> M | None:
    try:
        return model.model_validate(source.data)
    except ValidationError as error:
        told = {mistake.key for mistake in source.mistakes}
        found = [_mistake(source, model, detail) for detail in error.errors(include_url=False)]
        source.mistakes.extend(mistake for mistake in found if mistake.key not in told)
        return None


def _check_together(source: Source, document: TaskDocument) -> None:
    def add(key: str, text: str) -> None:
        place = source.place((key,))
        source.mistakes.append(Mistake(place.file, place.line, key, text))

    if document.output_type == "multiple_choice" and document.doc_to_choice is None:
        add("output_type", "multiple_choice needs `doc_to_choice`")
    if isinstance(document.doc_to_choice, list):
        twice = sorted({c for c in document.doc_to_choice if document.doc_to_choice.count(c) > 1})
        if twice:
            add("doc_to_choice", f"{', '.join(map(repr, twice))} is given twice")
    long_audio = document.metadata.evalkit.long_audio
    if long_audio and long_audio.policy == "chunk" and document.output_type == "multiple_choice":
        add("metadata", "long_audio: chunk joins texts, but multiple_choice has none; truncate or refuse")
    names = [entry.name for entry in document.filter_list]
    for name in sorted({name for name in names if names.count(name) > 1}):
        add("filter_list", f"two filters are called {name!r}")


def _mistake(source: Source, model: type[BaseModel], detail: ErrorDetails) -> Mistake:
    path = tuple(part for part in detail["loc"] if part not in ("<list>", "<one>"))
    place = source.place(path)
    return Mistake(place.file, place.line, dotted(path), _wording(model, path, detail))


def _wording(model: type[BaseModel], path: tuple[str | int, ...], detail: ErrorDetails) -> str:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return _unknown_key(model, path)
    if kind == "string_type":
        if isinstance(value, bool | int | float):
            return f"must be text, not {str(value).lower()}; quote it"
        return f"must be text, not {_described(value)}"
    if kind == "literal_error" and path:
        allowed = _ALLOWED[str(path[-1])]
        return f"{shorten(value)} is not one of {', '.join(allowed)}{did_you_mean(value, allowed)}"
    if kind == "too_short":
        return f"must hold at least {detail['ctx']['min_length']}, not {_described(value)}"
    if kind == "string_too_short":
        return "must not be empty"
    message = detail["msg"][:1].lower() + detail["msg"][1:]
    message = message.removeprefix("input ").replace("should be", "must be").replace("valid ", "")
    message = re.sub(r"dictionary.*", "mapping", message).replace("a boolean", "true or false")
    message = message.replace("a integer", "a whole number")
    return message if kind == "sampling" else f"{message}, not {_described(value)}"


def _unknown_key(model: type[BaseModel], path: tuple[str | int, ...]) -> str:
    key = str(path[-1])
    parent = tuple(part for part in path[:-1] if isinstance(part, str))
    valid = list(_MODELS.get(parent, model).model_fields) + (["include"] if not parent else [])
    if not parent and key in _FOREIGN:
        return "is a key of lm-evaluation-harness that evalkit does not honour; remove it"
    hint = did_you_mean(key, valid)
    return f"unknown key{hint}" if hint else f"unknown key; the keys here are {', '.join(sorted(valid))}"


_ALLOWED: dict[str, tuple[str, ...]] = {
    "output_type": get_args(OutputType),
    "policy": get_args(LongAudioPolicy),
    "side": ("semantic", "paralinguistic"),
}


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping"
    return shorten(value) if value != "" else "an empty text"
