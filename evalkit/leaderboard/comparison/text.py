"""A comparison in words and tables: for the terminal, as Markdown, as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.leaderboard.comparison.difference import Difference
from evalkit.leaderboard.comparison.types import (
    ALPHA,
    AverageGain,
    Comparison,
    PairComparison,
    TaskComparison,
)
from evalkit.leaderboard.cost import Cost, count_text, memory_text
from evalkit.leaderboard.markdown import escape, table_line
from evalkit.leaderboard.values import MISSING, failures_text, metric_label, metric_name, value_text

NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True, slots=True)
class Block:
    """A table with a title above and sentences below. The first `texts` columns are words, the rest numbers."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    texts: int = 2

    @property
    def right(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        return tuple(place >= self.texts for place in range(len(self.headings)))


def blocks(comparison: Comparison) -> list[Block]:
    """For every pair its tasks, slices and averages; then what the models cost."""
    found = []
    for pair in comparison.pairs:
        found.append(_tasks(pair, comparison.tests))
        if any(task.slices for task in pair.tasks):
            found.append(_slices(pair))
        if pair.averages:
            found.append(_averages(pair))
    found.append(_costs(comparison.costs))
    return found


def render_comparison(comparison: Comparison) -> str:
    """The comparison as Markdown. The same comparison gives the same bytes."""
    parts = []
    for block in blocks(comparison):
        lines = [f"## {escape(block.title)}", ""]
        lines.append(table_line([escape(heading) for heading in block.headings]))
        lines.append(table_line(["---:" if right else "---" for right in block.right]))
        lines += [table_line([escape(cell) for cell in row]) for row in block.rows]
        if block.notes:
            lines += ["", *(f"- {escape(note)}" for note in block.notes)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """All of it. Numbers as they are in the records, null where there is none."""
    values: dict[str, Any] = _plain(comparison)
    for pair, told in zip(comparison.pairs, values["pairs"], strict=True):
        for task, about in zip(pair.tasks, told["tasks"], strict=True):
            about["verdict"] = verdict(task, pair.first, pair.second)
            about["words"] = in_words(task, pair.first, pair.second)
    return values


def verdict(task: TaskComparison, first: str, second: str) -> str:
    """Who is better, said only where the corrected p is below 0.05."""
    if not task.different:
        return NO_DIFFERENCE
    better = second if task.tested.gain > 0 else first
    return f"{better} is better" + ("" if task.holds else ", with these seeds")


def in_words(task: TaskComparison, first: str, second: str) -> str:
    """The tested difference as a sentence or two."""
    found = task.tested
    key = found.metric
    parts = [
        f"{task.task}: {verdict(task, first, second)}. {metric_name(key)} {value_text(key, found.first)} "
        f"against {value_text(key, found.second)}: {_size(found, second)}"
    ]
    if found.wins is not None:
        parts.append(
            f"Of {found.wins + (found.ties or 0) + (found.losses or 0)} answers {second} does better on "
            f"{found.wins}, equally well on {found.ties}, worse on {found.losses}."
        )
    if task.detectable is not None:
        parts.append(
            f"A true difference below {_points(key, task.detectable)} would probably have gone unseen."
        )
    if task.smallest_p * task.tests >= ALPHA:
        hardly = "no difference can" if task.smallest_p >= ALPHA else "a difference can hardly"
        parts.append(
            f"With {found.units} units to exchange p is never below {task.smallest_p:.2g}, "
            f"so {hardly} be shown{f' among {task.tests} tests' if task.tests > 1 else ''}."
        )
    parts += _about_seeds(task)
    return " ".join(parts)


def _size(found: Difference, second: str) -> str:
    """`moe is 2.3 points lower (18 % less)`."""
    if found.difference == 0:
        return "no difference at all."
    way = "higher" if found.difference > 0 else "lower"
    text = f"{second} is {_points(found.metric, abs(found.difference))} {way}"
    if found.relative is not None:
        text += f" ({abs(found.relative) * 100:.0f} % {'more' if found.relative > 0 else 'less'})"
    return text + "."


def _about_seeds(task: TaskComparison) -> Iterator[str]:
    spread = task.tested.spread
    if len(spread.seeds) > 1:
        key = task.tested.metric
        single = ", ".join(
            f"{signed_text(key, second - first)} (seed {seed})"
            for seed, first, second in zip(spread.seeds, spread.first, spread.second, strict=True)
        )
        yield (
            f"Over {len(spread.seeds)} training seeds the mean difference is "
            f"{signed_text(key, task.tested.difference)} {_bounds(key, spread.low, spread.high)} "
            f"over seeds and samples{f' ({spread.note})' if spread.note else ''}; by seed: {single}."
        )


def _tasks(pair: PairComparison, tests: int) -> Block:
    numbers = ("n", pair.first, pair.second, "difference", "p", "p (Holm)")
    headings = ("task", "metric", *numbers, "verdict", "better/equal/worse", "effect")
    rows = []
    for task in pair.tasks:
        for found in task.differences:
            tested = found is task.tested
            rows.append(
                (
                    task.task if tested else "",
                    metric_label(found.metric, found.higher_is_better),
                    str(task.n) if tested else "",
                    value_text(found.metric, found.first),
                    value_text(found.metric, found.second),
                    _with_bounds(found),
                    p_text(found.p),
                    p_text(task.corrected) if tested else "",
                    verdict(task, pair.first, pair.second) if tested else "",
                    MISSING if found.wins is None else f"{found.wins}/{found.ties}/{found.losses}",
                    MISSING if found.effect is None else f"{found.effect:+.2f}",
                )
            )
    title = f"{pair.second} against {pair.first}"
    return Block(title, headings, tuple(rows), tuple(_task_notes(pair, tests)))


def _task_notes(pair: PairComparison, tests: int) -> Iterator[str]:
    yield from (in_words(task, pair.first, pair.second) for task in pair.tasks)
    several = any(len(task.seeds) > 1 for task in pair.tasks)
    over = " over training seeds (Student's t) and samples together" if several else ""
    yield (
        f"Difference: {pair.second} minus {pair.first}, on the same samples, with its 95 % interval{over}. The first "
        f"metric of a task is tested, p corrected over {tests} test{'s' if tests > 1 else ''} (Holm); a "
        f"difference is called one below {ALPHA}. Effect: difference by the spread of one sample or cluster "
        f"(Cohen's d_z)."
    )
    if several:
        yield (
            "p is about these models; `with these seeds` stands where the interval over seeds and samples, corrected "
            "for as many tests, does not exclude 0, so that other seeds may say otherwise."
        )
    if any(len(task.seeds) == 1 for task in pair.tasks):
        yield (
            "One training seed an arm: this is about these two models, not about what another seed would give."
        )
    yield from _made_by(pair)
    for task in pair.tasks:
        for name, counts in zip((pair.first, pair.second), task.failures, strict=True):
            failures = failures_text(counts)
            if failures:
                yield f"{task.task}: of {name}'s {sum(counts.values())} answers {failures}; none is left out."
    if pair.only:
        yield f"Not compared, since the other has no such run: {', '.join(pair.only)}."


def _made_by(pair: PairComparison) -> Iterator[str]:
    """Each way of testing once, with its tasks; then what is to be said about intervals."""
    ways: dict[str, list[str]] = {}
    for task in pair.tasks:
        ways.setdefault(task.tested.test, []).append(f"{task.task} over {task.tested.units}")
    yield "p by " + "; ".join(f"{way} ({', '.join(tasks)})" for way, tasks in ways.items()) + "."
    for task in pair.tasks:
        yield from (f"{task.task}: {one.method} p = {p_text(one.p)}." for one in task.tested.also)
        if task.tested.note:
            yield f"{task.task}: {task.tested.note}."


def _slices(pair: PairComparison) -> Block:
    headings = ("task", "slice", "metric", "n", pair.first, pair.second, "difference")
    rows = [
        (
            task.task,
            f"{part.by}: {part.value}",
            metric_label(part.difference.metric, part.difference.higher_is_better),
            str(part.n),
            value_text(part.difference.metric, part.difference.first),
            value_text(part.difference.metric, part.difference.second),
            _with_bounds(part.difference),
        )
        for task in pair.tasks
        for part in task.slices
    ]
    notes = (
        "Slices are for looking: many are shown and nothing is corrected for it, so none has a verdict.",
    )
    return Block(f"{pair.second} against {pair.first}, by slices", headings, tuple(rows), notes, texts=3)


def _averages(pair: PairComparison) -> Block:
    rows = [(one.side, _gain_text(one), ", ".join(one.tasks)) for one in pair.averages]
    note = (
        "Points of 100, positive where better: mean over families of the mean of their tasks, error rates as "
        "1 - rate; intervals take tasks as independent over the samples"
        + (", and are over training seeds too." if any(one.seeds > 1 for one in pair.averages) else ".")
    )
    if any(one.low is None for one in pair.averages):
        note += " No interval: an error rate above 1 was cut, or tasks have different training seeds."
    headings = ("side", "gain", "tasks")
    return Block(f"{pair.second} against {pair.first}, on average", headings, tuple(rows), (note,), texts=1)


def _costs(costs: Mapping[str, Cost]) -> Block:
    """Operations and memory beside size and time, as far as the runs recorded them."""
    size = ("parameters", "active", "projector FLOPs a second of audio")
    headings = ("model", *size, "times real time", "peak memory", "device")
    rows = [
        (
            name,
            f"{cost.parameters:,}" if cost.parameters else MISSING,
            f"{cost.active_parameters:,}" if cost.active_parameters else MISSING,
            count_text(cost.projector_flops) if cost.projector_flops else MISSING,
            f"{cost.times_real_time:.1f}" if cost.times_real_time else MISSING,
            memory_text(cost.peak_memory) if cost.peak_memory else MISSING,
            ", ".join(cost.devices),
        )
        for name, cost in costs.items()
    ]
    notes = [
        "Times are those of the runs, with the loading of weights. Peak memory is that of the GPU where there is "
        "one, else of the whole process."
    ]
    if any(MISSING in row for row in rows):
        notes.append(f"{MISSING}: the model or its runs did not record it.")
    return Block("Cost", headings, tuple(rows), tuple(notes), texts=1)


def signed_text(key: str, value: float) -> str:
    """A difference as `value_text` writes values, with its sign; a rounded 0 has none."""
    text = value_text(key, value)
    if not any(digit in text for digit in "123456789"):
        return text.lstrip("-")
    return text if text.startswith("-") else f"+{text}"


def p_text(p: float) -> str:
    return MISSING if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _points(key: str, size: float) -> str:
    percent = value_text(key, 1.0) != value_text("", 1.0)
    return f"{value_text(key, size)} points" if percent else value_text(key, size)


def _bounds(key: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return MISSING
    return f"[{signed_text(key, low)}, {signed_text(key, high)}]"


def _with_bounds(found: Difference) -> str:
    """`+2.3 [-0.4, +4.9]`."""
    bounds = _bounds(found.metric, *found.bounds)
    text = signed_text(found.metric, found.difference)
    return text if bounds == MISSING else f"{text} {bounds}"


def _gain_text(one: AverageGain) -> str:
    bounds = "" if one.low is None or one.high is None else f" [{one.low:+.1f}, {one.high:+.1f}]"
    return f"{one.gain:+.1f}{bounds}"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
