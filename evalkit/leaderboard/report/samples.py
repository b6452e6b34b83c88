"""The samples that a report shows: the worst, the failed, some at random; each with its edits and audio."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.leaderboard.averages import quality
from evalkit.leaderboard.comparison.difference import sample_values
from evalkit.leaderboard.report.audio import AudioFinder, Clip
from evalkit.leaderboard.values import metric_name, value_text
from evalkit.metrics.alignment import Edit, align
from evalkit.metrics.edits import EditRate, words
from evalkit.results import JournalEntry, Prediction
from evalkit.scoring import Measured
from evalkit.stats.reducers import Vector

MAX_TEXT = 2_000
MAX_UNITS = 1_500


@dataclass(frozen=True, slots=True)
class Choice:
    text: str
    logprob: float | None
    chosen: bool
    right: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample on the page. group: `worst`, `failed` or `random`; value: the first metric on it alone.

    edits is empty where the metric counts none, or the texts are too long to be coloured; its units are
    joined by `glue`.
    """

    group: str
    name: str
    status: str
    references: tuple[str, ...]
    answer: str | None
    response: str
    error: str
    value: str
    counts: str
    edits: tuple[Edit, ...]
    glue: str
    choices: tuple[Choice, ...]
    facts: tuple[tuple[str, str], ...]
    clips: tuple[Clip, ...]


def shown_samples(
    key: str, predictions: Sequence[Prediction], measured: Measured, count: int, audio: AudioFinder
) -> list[Shown]:
    """At most `count` samples of each group, none of them twice. `key` is that of the measured metric.

    Which ones is a function of the predictions alone: ties and chance are decided by a hash of the sample's id.
    """
    values = sample_values(measured.scorer, measured.statistics)
    chosen: dict[int, str] = {}
    for group, order in (
        ("worst", _worst(key, predictions, measured, values)),
        ("failed", _shuffled([at for at, one in enumerate(predictions) if one.status != "ok"], predictions)),
        ("random", _shuffled(range(len(predictions)), predictions)),
    ):
        for place in [place for place in order if place not in chosen][:count]:
            chosen[place] = group
    rate = measured.metric if isinstance(measured.metric, EditRate) else None
    return [
        _shown(group, predictions[place], rate, _value(key, measured, values, place), audio)
        for place, group in chosen.items()
    ]


def _worst(
    key: str, predictions: Sequence[Prediction], measured: Measured, values: Vector | None
) -> list[int]:
    """Places from the worst on; samples on which the metric has its best value are not among them.

    Of two with the same rate the one with more errors is worse, of two wrong choices the surer one.
    """
    if values is None:
        return []
    badness = -values if measured.metric.higher_is_better else values
    errors = measured.statistics[:, 0] if isinstance(measured.metric, EditRate) else np.zeros(len(values))
    flawed = [place for place, value in enumerate(values) if quality(key, float(value)) != 1.0]

    def order(place: int) -> tuple[float, float, float, bytes]:
        entry = predictions[place].entry
        return -badness[place], -errors[place], -_margin(entry), _chance(entry)

    return sorted(flawed, key=order)


def _margin(entry: JournalEntry) -> float:
    """By how much the likeliest choice is likelier than the right one, nats; 0 without log-likelihoods."""
    right = [
        logprob
        for choice, logprob in zip(entry.choices, entry.response.choice_logprobs, strict=False)
        if choice in entry.references
    ]
    margin = max(entry.response.choice_logprobs, default=0.0) - max(right) if right else 0.0
    return margin if np.isfinite(margin) else 0.0


def _shuffled(places: Sequence[int], predictions: Sequence[Prediction]) -> list[int]:
    return sorted(places, key=lambda place: _chance(predictions[place].entry))


def _chance(entry: JournalEntry) -> bytes:
    return hashlib.sha256(f"{entry.repeat}:{entry.id}".encode("utf-8", "surrogatepass")).digest()


def _value(key: str, measured: Measured, values: Vector | None, place: int) -> str:
    if values is None:
        return ""
    value = float(values[place])
    if not isinstance(measured.metric, EditRate) and set(np.unique(values)) <= {0.0, 1.0}:
        return "right" if value == 1.0 else "wrong"
    return f"{metric_name(key)} {value_text(key, value)}"


def _shown(
    group: str, prediction: Prediction, rate: EditRate | None, value: str, audio: AudioFinder
) -> Shown:
    entry, response = prediction.entry, prediction.entry.response
    edits = _edits(rate, entry, prediction.answer) if rate else ()
    glue = " " if rate is None or rate.split is words else ""
    told = (None, *entry.references)
    facts = [(name, str(field)) for name, field in entry.fields.items() if field not in told]
    facts += [("length", f"{entry.seconds:.1f} s")] if entry.seconds > 0 else []
    facts += [("cluster", entry.cluster)] if entry.cluster else []
    facts += [("tokens", str(response.output_tokens))] if response.output_tokens else []
    facts += [("ended by", response.finish_reason)] if response.finish_reason != "stop" else []
    return Shown(
        group=group,
        name=entry.id if not entry.repeat else f"{entry.id} (repeat {entry.repeat})",
        status=prediction.status,
        references=tuple(_short(text) for text in entry.references),
        answer=None if prediction.answer is None else _short(prediction.answer),
        response=_short(response.text or ""),
        error=_short(response.error or ""),
        value=value,
        counts=_counts(edits, "words" if glue else "characters"),
        edits=edits,
        glue=glue,
        choices=_choices(prediction),
        facts=tuple((name, _short(field)) for name, field in facts),
        clips=audio.clips(entry),
    )


def _edits(rate: EditRate, entry: JournalEntry, answer: str | None) -> tuple[Edit, ...]:
    if answer is None or len(answer) + max(map(len, entry.references)) > MAX_TEXT:
        return ()
    edits = align(rate, entry.references, answer)
    return edits if sum(len(edit.reference) + len(edit.answer) for edit in edits) <= MAX_UNITS else ()


def _counts(edits: Sequence[Edit], units: str) -> str:
    if not edits:
        return ""
    kinds = {"replace": "substituted", "delete": "deleted", "insert": "inserted"}
    found = {kind: sum(edit.errors for edit in edits if edit.kind == kind) for kind in kinds}
    parts = [f"{number} {kinds[kind]}" for kind, number in found.items() if number]
    total = sum(len(edit.reference) for edit in edits)
    return f"{', '.join(parts) or 'no error'} of {total} {units}"


def _choices(prediction: Prediction) -> tuple[Choice, ...]:
    entry = prediction.entry
    logprobs = entry.response.choice_logprobs
    if len(logprobs) != len(entry.choices):
        return ()
    return tuple(
        Choice(
            _short(text),
            logprob if np.isfinite(logprob) else None,
            text == prediction.answer,
            text in entry.references,
        )
        for text, logprob in zip(entry.choices, logprobs, strict=True)
    )


def _short(text: str) -> str:
    more = len(text) - MAX_TEXT
    return text if more <= 0 else f"{text[:MAX_TEXT]} … and {more} characters more"
