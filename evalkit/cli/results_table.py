"""The table that `evalkit run` ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.cli.terminal import Heading, show_table

if TYPE_CHECKING:
    from evalkit.results.record import MetricValue, Result


def show_results(results: Sequence[Result]) -> None:
    """One line for each result and metric; what all metrics of a result share stands in its first line."""
    from evalkit.leaderboard.values import CAPTION, failures_text, interval_text, metric_label, value_text

    headings = [Heading("model"), Heading("task"), Heading("metric"), Heading("value", "right")]
    headings += [Heading("95 % interval"), Heading("n", "right"), Heading("failures"), Heading("audio")]
    headings += [Heading("time", "right")]
    rows: list[list[str]] = []
    notes: list[str] = []
    for result in results:
        made = result.provenance
        about = [
            f"{result.n}{' (partial)' if result.partial else ''}",
            failures_text(result.counts) or "none",
        ]
        about += [result.audio, duration(made.wall_seconds) + _speed(made.audio_seconds, made.wall_seconds)]
        names = [result.model, result.task]
        for key, value in result.metrics.items():
            label = metric_label(key, value.higher_is_better)
            rows.append([*names, label, value_text(key, value.value), interval_text(key, value), *about])
            names, about = ["", ""], ["", "", "", ""]
            notes += [f"{result.task}: {note}" for note in [*_notes(value), *_bounds(key, value)]]
    show_table(headings, rows, caption=CAPTION, notes=list(dict.fromkeys(notes)))


def _bounds(key: str, value: MetricValue) -> list[str]:
    """What failures leave open."""
    from evalkit.leaderboard.values import metric_name, value_text

    if value.worst is None or value.best is None:
        return []
    ends = f"{value_text(key, value.worst)} to {value_text(key, value.best)}"
    return [f"{metric_name(key)} {ends}, had every failed answer been wrong, or right"]


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _speed(audio_seconds: float, wall_seconds: float) -> str:
    """Times real time: seconds of audio for each second of the run."""
    return f" ({audio_seconds / wall_seconds:.1f}x)" if audio_seconds > 0 and wall_seconds > 0 else ""


def _notes(value: MetricValue) -> list[str]:
    notes = [f"intervals resample {value.clusters} clusters"] if value.clusters and value.method else []
    return [*notes, value.note] if value.note else notes
