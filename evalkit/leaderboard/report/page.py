"""One run as one self-contained HTML page: what came out, where it went wrong, and samples to listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.leaderboard.cost import count_text, memory_text
from evalkit.leaderboard.page import render_page
from evalkit.leaderboard.report.answers import StoredAnswers
from evalkit.leaderboard.report.audio import AudioFinder
from evalkit.leaderboard.report.breakdown import confusion, slicings, status_counts
from evalkit.leaderboard.report.samples import shown_samples
from evalkit.leaderboard.values import (
    BOUNDS,
    bounds_text,
    interval_text,
    metric_label,
    metric_name,
    value_text,
)
from evalkit.results import MetricValue
from evalkit.scoring import ScoringSpec, measure
from evalkit.scoring.score import predict
from evalkit.tasks.schema import Task

SAMPLES = 10


def render_report(answers: StoredAnswers, task: Task | None, *, samples: int = SAMPLES) -> str:
    """The page. `task`: where the audio is found, None if it is not known; at most `samples` of each kind.

    The same run, task and data give the same bytes.
    """
    run, spec = answers.run, answers.spec
    chain, main = spec.filters[0], spec.metrics[0]
    key = f"{main.metric},{chain.name}"
    predictions = predict(answers.entries, spec, chain)
    measured = measure(predictions, main)
    audio = AudioFinder(task, answers.task)
    shown = shown_samples(key, predictions, measured, samples, audio)
    return render_page(
        "report",
        title=f"{answers.task}: {run.model}",
        summary=run.task.get("meta", {}).get("summary", ""),
        warnings=_warnings(answers),
        metrics=[_metric(name, answers.metrics[name]) for name in _order(answers.metrics, spec)],
        ways=_ways(answers.metrics),
        main=metric_label(key, measured.metric.higher_is_better),
        facts=_facts(answers),
        statuses=status_counts(predictions),
        answers=len(predictions),
        slicings=slicings(
            key, predictions, measured, run.task.get("meta", {}).get("slices", ()), seed=run.provenance.seed
        ),
        confusion=confusion(predictions, str(main.options.get("normalizer", "lower_no_punct"))),
        samples=shown,
        groups=_groups([sample.group for sample in shown]),
        found_statuses=list(dict.fromkeys(sample.status for sample in shown)),
        coloured=any(sample.edits for sample in shown),
        no_audio=audio.missing,
    )


def _groups(shown: Sequence[str]) -> list[tuple[str, str]]:
    names = {"worst": "Worst", "failed": "Other failures", "random": "Random"}
    return [(group, name) for group, name in names.items() if group in shown]


def _warnings(answers: StoredAnswers) -> list[str]:
    run = answers.run
    texts = []
    asked = run.n * run.repeats
    if len(answers.entries) < asked:
        texts.append(f"The run has not ended: {len(answers.entries)} of {asked} answers are here.")
    if run.partial:
        texts.append(f"A partial run of {run.n} samples; its values stand in no table.")
    if run.audio != "real":
        texts.append(f"The model did not hear the audio below: the setting was {run.audio}.")
    return texts


def _order(metrics: Mapping[str, MetricValue], spec: ScoringSpec) -> list[str]:
    """As the task lists them; records hold them by name."""
    listed = [f"{metric.metric},{chain.name}" for chain in spec.filters for metric in spec.metrics]
    return [key for key in listed if key in metrics]


def _metric(key: str, value: MetricValue) -> tuple[str, str, str, str]:
    label = metric_label(key, value.higher_is_better)
    return label, value_text(key, value.value), interval_text(key, value), bounds_text(key, value)


def _ways(metrics: Mapping[str, MetricValue]) -> list[str]:
    """How the intervals were made, each way once with the metrics it is that of."""
    ways: dict[str, list[str]] = {}
    for key, value in metrics.items():
        over = f" over {value.clusters} clusters" if value.clusters else ""
        how = "; ".join(part for part in (value.method + over if value.method else "", value.note) if part)
        if how:
            ways.setdefault(how, []).append(metric_name(key))
    bounds = [BOUNDS] if any(value.worst is not None for value in metrics.values()) else []
    if len(ways) == 1:
        return [*(f"Intervals: {how}." for how in ways), *bounds]
    return [*(f"Interval of {', '.join(names)}: {how}." for how, names in ways.items()), *bounds]


def _facts(answers: StoredAnswers) -> list[tuple[str, str]]:
    run, made = answers.run, answers.run.provenance
    seconds = sum(entry.seconds for entry in answers.entries)
    pairs = [
        ("Samples", f"{run.n}" + (f", {run.repeats} answers each" if run.repeats > 1 else "")),
        ("Audio", f"{seconds / 60:.1f} min, {run.audio}"),
        ("Wall time", f"{made.wall_seconds:.0f} s" if made.wall_seconds else ""),
        ("Parameters", _sizes(made.parameters, made.active_parameters)),
        ("Backbone", made.backbone if made.backbone != "mini" else ""),
        ("Model arguments", ", ".join(f"{name}={text}" for name, text in made.model_args.items())),
        ("Peak memory", memory_text(made.peak_memory) if made.peak_memory else ""),
        ("Device", " ".join(part for part in (made.device_name or made.device, made.dtype) if part)),
        ("Prompt", str(run.task.get("doc_to_text", ""))),
        ("Seed", str(made.seed)),
        ("Started", made.started),
        ("evalkit", " ".join(part for part in (made.evalkit, made.revision[:12]) if part)),
        ("Generation", run.fingerprints.generation[:16]),
        ("Model weights", run.fingerprints.model[:16]),
        ("Data", run.fingerprints.data[:16]),
    ]
    return [(name, text) for name, text in pairs if text]


def _sizes(parameters: int, active: int) -> str:
    if not parameters:
        return ""
    return count_text(parameters) + (
        f", {count_text(active)} active" if active not in (0, parameters) else ""
    )
