"""What a table says below itself, each thing once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.leaderboard.values import failures_text
from evalkit.results.record import MetricValue, Result


def failures_note(counts: Mapping[str, int]) -> list[str]:
    failures = failures_text(counts)
    if not failures:
        return []
    said = [f"Of {sum(counts.values())} answers: {failures}."]
    if any(count for status, count in counts.items() if status not in ("ok", "truncated")):
        said.append("A sample without an answer counts as wrong.")
    if counts.get("truncated"):
        said.append("A truncated one counts by what was written.")
    return [" ".join(said)]


def value_notes(values: Sequence[MetricValue]) -> list[str]:
    """What the values themselves say of their intervals, each thing once."""
    said = dict.fromkeys(value.note for value in values if value.note)
    return [note[0].upper() + note[1:].rstrip(".") + "." for note in said]


def numbered(texts: Sequence[str], notes: list[str]) -> tuple[int, ...]:
    """The numbers of the texts among the notes, after adding those that are new."""
    notes.extend(text for text in texts if text not in notes)
    return tuple(sorted(notes.index(text) + 1 for text in texts))


def interval_notes(results: Sequence[Result]) -> list[str]:
    """How the intervals were made, each way once with its tasks and their metrics."""
    ways: dict[str, dict[str, set[str]]] = {}
    for result in results:
        for key, value in result.metrics.items():
            over = f" over {value.clusters} clusters" if value.clusters else ""
            if value.method:
                tasks = ways.setdefault(value.method + over, {})
                tasks.setdefault(result.task, set()).add(key.partition(",")[0])
    return [
        f"Intervals by {way}: "
        + ", ".join(f"{task} ({', '.join(sorted(metrics))})" for task, metrics in sorted(tasks.items()))
        + "."
        for way, tasks in sorted(ways.items())
    ]


def chance_note(results: Sequence[Result]) -> list[str]:
    """The accuracy of a uniform guess, for the tasks that offer choices."""
    found = sorted({(result.task, result.chance) for result in results if result.chance is not None})
    if not found:
        return []
    told = ", ".join(f"{task} {100 * chance:.1f} %" for task, chance in found)
    return [f"Chance, the accuracy of a uniform guess among the choices: {told}."]
