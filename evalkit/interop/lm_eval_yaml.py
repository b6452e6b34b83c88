"""Plain task files of lm-evaluation-harness: read for lm-eval, or made tasks of evalkit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.model import GenerationSettings
from evalkit.tasks.errors import Mistake, TaskErrors
from evalkit.tasks.schema import FilterSpec, MetricSpec, Task, TaskMeta

# Keys that change nothing for a question asked without examples, and those that evalkit reads.
IGNORED = {
    "fewshot_config",
    "fewshot_delimiter",
    "fewshot_split",
    "group_alias",
    "should_decontaminate",
    "target_delimiter",
    "task_alias",
    "training_split",
    "validation_split",
    "doc_to_decontamination_query",
}
READ = {
    "task",
    "tag",
    "group",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "test_split",
    "description",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "output_type",
    "generation_kwargs",
    "filter_list",
    "metric_list",
    "repeats",
    "metadata",
    "num_fewshot",
}
METRICS = {
    "acc": "accuracy",
    "acc_norm": "accuracy",
    "exact_match": "exact_match",
    "bleu": "bleu",
    "wer": "wer",
}
TABLES = {"json": ".jsonl", "csv": ".csv", "parquet": ".parquet"}


def is_lm_eval_yaml(path: Path) -> bool:
    """Whether a task file is lm-eval's: it asks for no audio and says nothing under `metadata.evalkit`."""
    from evalkit.tasks.source import parse_file

    # `!function` is only looked at here; whoever loads the task decides on it.
    data = parse_file(path, allow_code=True).data
    metadata = data.get("metadata")
    own = isinstance(metadata, dict) and "evalkit" in metadata
    return (
        isinstance(data.get("task"), str) and "doc_to_audio" not in data and "include" not in data and not own
    )


def read_lm_eval_yaml(path: Path) -> dict[str, Any]:
    """The file for lm-eval, its data files taken from beside it instead of from the working folder.

    Raises TaskErrors for what is no YAML mapping.
    """
    data = dict(_data(path))
    kwargs = data.get("dataset_kwargs")
    if isinstance(kwargs, dict) and "data_files" in kwargs:
        data["dataset_kwargs"] = {**kwargs, "data_files": _beside(path, kwargs["data_files"])}
    return data


def text_task(path: Path) -> Task:
    """A plain lm-eval task file as a task of evalkit without audio, asked without examples.

    Raises TaskErrors naming every key that cannot be honoured.
    """
    data = _data(path)
    mistakes = [
        f"{key}: evalkit cannot honour this key of lm-eval; remove it, or run the file by `evalkit lm-eval`"
        for key in data
        if key not in IGNORED | READ
    ]
    if data.get("num_fewshot"):
        mistakes.append("num_fewshot: evalkit asks without examples; set it to 0")
    metrics, filters = _scoring(data, mistakes)
    split = data.get("test_split") or data.get("validation_split")
    if not isinstance(split, str):
        mistakes.append("test_split: is required")
    if "doc_to_target" not in data or "doc_to_text" not in data:
        mistakes.append("doc_to_text, doc_to_target: are required")
    if mistakes:
        raise TaskErrors([Mistake(str(path), 0, "", mistake) for mistake in mistakes])
    source, name, kwargs = _data_set(path, data, str(split))
    generation = data.get("generation_kwargs") or {}
    choice = data.get("doc_to_choice", ())
    return Task(
        name=str(data["task"]),
        path=path,
        dataset_path=source,
        dataset_name=name,
        dataset_kwargs=kwargs,
        test_split=str(split),
        doc_to_audio=(),
        doc_to_text=str(data["doc_to_text"]),
        doc_to_target=_text(data["doc_to_target"]),
        doc_to_choice=tuple(map(str, choice)) if isinstance(choice, list | tuple) else str(choice),
        description=str(data.get("description") or ""),
        output_type="multiple_choice" if data.get("output_type") == "multiple_choice" else "generate_until",
        generation=_generation(generation),
        filters=filters,
        metrics=metrics,
        tags=("text",),
        version=str((data.get("metadata") or {}).get("version", "1")),
        meta=TaskMeta(family="text", side="semantic", summary=f"lm-eval task {data['task']}"),
    )


def _data(path: Path) -> Mapping[str, Any]:
    from evalkit.tasks.source import parse_file

    source = parse_file(path)
    if source.mistakes:
        raise TaskErrors(source.mistakes)
    return source.data


def _beside(path: Path, files: Any) -> Any:
    if isinstance(files, Mapping):
        return {split: _beside(path, file) for split, file in files.items()}
    if isinstance(files, list):
        return [_beside(path, file) for file in files]
    return str((path.parent / str(files)).resolve())


def _data_set(path: Path, data: Mapping[str, Any], split: str) -> tuple[str, str | None, Mapping[str, Any]]:
    """dataset_path, dataset_name and options: `json` and the like with `data_files` are a file of that split."""
    source, kwargs = str(data.get("dataset_path", "")), dict(data.get("dataset_kwargs") or {})
    files = kwargs.get("data_files")
    if source not in TABLES or files is None:
        return source, data.get("dataset_name"), kwargs
    file = files.get(split) if isinstance(files, Mapping) else files
    if not isinstance(file, str) or not file.endswith(TABLES[source]):
        text = f"data_files: evalkit reads one {TABLES[source]} file for the split {split!r}, not {file!r}"
        raise TaskErrors([Mistake(str(path), 0, "dataset_kwargs", text)])
    return file, None, {}


def _scoring(
    data: Mapping[str, Any], mistakes: list[str]
) -> tuple[tuple[MetricSpec, ...], tuple[FilterSpec, ...]]:
    """Metrics under evalkit's names. `acc_norm` divides log-likelihoods by length: a filter chain here."""
    given = [entry.get("metric") for entry in data.get("metric_list") or [] if isinstance(entry, Mapping)]
    if not given:
        given = ["acc"] if data.get("output_type") == "multiple_choice" else ["exact_match"]
    for metric in given:
        if metric not in METRICS:
            mistakes.append(f"metric_list: evalkit has no metric for {metric!r}; it has {', '.join(METRICS)}")
    options: dict[str, Any] = {}
    for entry in data.get("metric_list") or []:
        if isinstance(entry, Mapping) and (entry.get("ignore_case") or entry.get("ignore_punctuation")):
            options = {"normalizer": "lower_no_punct"}
    names = dict.fromkeys(METRICS[metric] for metric in given if metric in METRICS)
    metrics = tuple(MetricSpec(name, options if name == "exact_match" else {}) for name in names)
    chains = [
        FilterSpec(str(entry["name"]), tuple(_step(step) for step in entry["filter"]))
        for entry in data.get("filter_list") or []
    ]
    if "acc_norm" in given:
        chains = [FilterSpec("none", ()), FilterSpec("norm", (("normalize_length", {"by": "characters"}),))]
    return metrics, tuple(chains)


def _step(step: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return str(step["function"]), {key: value for key, value in step.items() if key != "function"}


def _generation(kwargs: Mapping[str, Any]) -> GenerationSettings:
    until = kwargs.get("until") or ()
    return GenerationSettings(
        max_new_tokens=int(kwargs.get("max_gen_toks", 256)),
        stop=(until,) if isinstance(until, str) else tuple(until),
    )


def _text(target: Any) -> str:
    """lm-eval lets a target be a number that counts into the choices."""
    return f"{{{{ {target} }}}}" if isinstance(target, int) else str(target)
