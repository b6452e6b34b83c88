"""One task file to a `Task`."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evalkit.model import GenerationSettings
from evalkit.tasks.document import GenerationKwargs, TaskDocument, check_task, is_group
from evalkit.tasks.errors import Mistake, TaskErrors
from evalkit.tasks.includes import read_source
from evalkit.tasks.metadata import EvalkitMeta
from evalkit.tasks.schema import (
    FilterSpec,
    LongAudio,
    MetricSpec,
    ReferenceScore,
    Task,
    TaskFunction,
    TaskMeta,
    Template,
)
from evalkit.tasks.source import FunctionName, KeyPath, Source, dotted


def load_task(path: Path | str, allow_code: bool = False, *, root: Path | None = None) -> Task:
    """Read, check and convert one task file.

    allow_code: let `!function module.name` import that module from beside the file.
    root: the folder tree that `include:` may not leave; by default the file's own folder.
    Raises TaskErrors with every mistake as `file:line: key: what is wrong`.
    """
    path = Path(path)
    source = read_source(path, root or path.parent, allow_code=allow_code)
    if is_group(source.data) and not source.mistakes:
        raise TaskErrors([Mistake(str(path), 1, "group", "this file names a group of tasks, not a task")])
    document = check_task(source) if source.data or not source.mistakes else None
    task = _to_task(source, document) if document is not None else None
    if source.mistakes or task is None:
        raise TaskErrors(source.mistakes)
    return task


def _to_task(source: Source, document: TaskDocument) -> Task:
    def template(value: Any, *path: str | int) -> Template:
        return _template(source, value, path)

    choice = document.doc_to_choice
    return Task(
        name=document.task,
        path=source.path,
        dataset_path=document.dataset_path,
        dataset_name=document.dataset_name,
        dataset_kwargs=document.dataset_kwargs,
        test_split=document.test_split,
        description=document.description,
        doc_to_audio=tuple(template(v, "doc_to_audio", i) for i, v in enumerate(document.doc_to_audio)),
        doc_to_text=template(document.doc_to_text, "doc_to_text"),
        doc_to_target=template(document.doc_to_target, "doc_to_target"),
        doc_to_choice=tuple(choice) if isinstance(choice, list) else template(choice or "", "doc_to_choice"),
        output_type=document.output_type,
        generation=_generation(document.generation_kwargs),
        filters=tuple(
            FilterSpec(entry.name, tuple((step.function, step.model_extra or {}) for step in entry.filter))
            for entry in document.filter_list
        ),
        metrics=tuple(MetricSpec(entry.metric, entry.model_extra or {}) for entry in document.metric_list),
        repeats=document.repeats,
        tags=tuple(document.tag),
        groups=tuple(document.group),
        version=document.metadata.version,
        meta=_meta(document.metadata.evalkit),
    )


def _generation(kwargs: GenerationKwargs) -> GenerationSettings:
    """Greedy decoding has no temperature, so that two ways of saying greedy are one setting."""
    sampled = kwargs.do_sample
    return GenerationSettings(
        max_new_tokens=kwargs.max_gen_toks,
        do_sample=sampled,
        temperature=1.0 if not sampled or kwargs.temperature is None else kwargs.temperature,
        top_p=1.0 if not sampled or kwargs.top_p is None else kwargs.top_p,
        stop=tuple(kwargs.until),
    )


def _meta(meta: EvalkitMeta) -> TaskMeta:
    values = meta.model_dump()
    values["slices"] = tuple(values["slices"])
    values["evidence"] = {fact: place for fact, place in values["evidence"].items() if place}
    values["reference_scores"] = tuple(ReferenceScore(**score) for score in values["reference_scores"])
    values["long_audio"] = LongAudio(**values["long_audio"]) if values["long_audio"] else None
    return TaskMeta(**values)


def _template(source: Source, value: Any, path: KeyPath) -> Template:
    """Text with its Jinja checked, or a loaded function. What is wrong is added to the source."""
    place = source.place(path)

    def add(text: str) -> None:
        source.mistakes.append(Mistake(place.file, place.line, dotted(path), text))

    if isinstance(value, FunctionName):
        try:
            return _load_function(value)
        except ValueError as error:
            add(str(error))
            return ""
    text = str(value)
    if "{" in text:
        from evalkit.tasks.templates import syntax_problem

        problem = syntax_problem(text)
        if problem:
            add(problem)
    return text


def _load_function(name: FunctionName) -> TaskFunction:
    """`module.name` from the folder of the file that names it. Raises ValueError."""
    module_name, dot, function_name = name.name.strip().rpartition(".")
    file = name.folder / f"{module_name}.py"
    if not dot or not module_name.isidentifier() or not function_name.isidentifier():
        raise ValueError(f"!function {name.name!r} must be module.function, the module beside this file")
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(f"!function {name.name}: {file} cannot be read: {error.strerror}") from None
    unique = f"evalkit_task_{digest[:16]}_{module_name}"
    module = sys.modules.get(unique)
    if module is None:
        spec = importlib.util.spec_from_file_location(unique, file)
        if spec is None or spec.loader is None:
            raise ValueError(f"!function {name.name}: {file} is not a Python module")
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ValueError(f"!function {name.name}: {file} fails with {error!r}") from error
        sys.modules[unique] = module
    call: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(call):
        raise ValueError(f"!function {name.name}: {file} has no function {function_name!r}")
    return TaskFunction(name.name.strip(), call, digest)
