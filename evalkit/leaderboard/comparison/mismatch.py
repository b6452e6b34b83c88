"""Why two runs of one task cannot be compared: the fields that differ, with their values where they are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.leaderboard.selection import differing, made_like
from evalkit.leaderboard.stored import StoredRun
from evalkit.results import JournalEntry, RunRecord

_SHOWN = 3
_LONGEST = 60

_PROMPT_KEYS = ("description", "doc_to_text", "doc_to_choice", "doc_to_audio")
_SETTINGS_KEYS = ("output_type", "generation", "repeats")


def mismatch(first: StoredRun, second: StoredRun) -> list[str]:
    """One text for each of prompt, settings, data and scoring in which they differ; none if comparable."""
    fields = differing([made_like(first.result), made_like(second.result)])
    return [_described(field, first, second, prompts_differ="prompt" in fields) for field in fields]


def unpaired(first: Sequence[JournalEntry], second: Sequence[JournalEntry]) -> list[str]:
    """What keeps the entries of two journals from being paired one by one; none if every one has its match.

    A pair shares id and repeat, and asks the same request with the same references.
    """
    ones = {(entry.id, entry.repeat): entry for entry in first}
    others = {(entry.id, entry.repeat): entry for entry in second}
    both = [key for key in ones if key in others]
    return [
        *_samples("only the first has", [key for key in ones if key not in others]),
        *_samples("only the second has", [key for key in others if key not in ones]),
        *_samples("other references of", [k for k in both if ones[k].references != others[k].references]),
        *_samples("other audio or prompt of", [k for k in both if ones[k].request != others[k].request]),
    ]


def _described(field: str, first: StoredRun, second: StoredRun, *, prompts_differ: bool) -> str:
    details = list(_DETAILS[field](first, second))
    if field == "data" and prompts_differ:
        # Every request holds the prompt, so they all differ; what is told are samples and references.
        details = [detail for detail in details if not detail.startswith("other audio or prompt")]
    more = f", and {len(details) - _SHOWN} more" if len(details) > _SHOWN else ""
    return f"{field} ({'; '.join(details[:_SHOWN])}{more})" if details else field


def _prompt(first: StoredRun, second: StoredRun) -> Iterator[str]:
    return _changes(_part(first.record(), _PROMPT_KEYS), _part(second.record(), _PROMPT_KEYS))


def _settings(first: StoredRun, second: StoredRun) -> Iterator[str]:
    return _changes(_part(first.record(), _SETTINGS_KEYS), _part(second.record(), _SETTINGS_KEYS))


def _scoring(first: StoredRun, second: StoredRun) -> Iterator[str]:
    return _changes(_rules(first.result.scoring), _rules(second.result.scoring))


def _data(first: StoredRun, second: StoredRun) -> Iterator[str]:
    yield from unpaired(first.entries(), second.entries())


_DETAILS = {"prompt": _prompt, "settings": _settings, "data": _data, "scoring": _scoring}


def _part(run: RunRecord, keys: Sequence[str]) -> dict[str, Any]:
    return {key: run.task[key] for key in keys if key in run.task}


def _rules(scoring: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scoring.items() if key != "metrics"}


def _changes(first: Any, second: Any, where: str = "") -> Iterator[str]:
    """`generation.max_new_tokens 96 against 64`, for every leaf that differs."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys((*first, *second)):
            yield from _changes(first.get(key), second.get(key), f"{where}.{key}" if where else str(key))
    elif first != second:
        yield f"{where} {_short(first)} against {_short(second)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _samples(what: str, keys: Sequence[tuple[str, int]]) -> list[str]:
    if not keys:
        return []
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return [f"{what} sample {keys[0][0]!r}{more}"]
