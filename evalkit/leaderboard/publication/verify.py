"""Recompute every number of a results folder from its journals and say which do not hold."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from evalkit.leaderboard.comparison.mismatch import unpaired
from evalkit.leaderboard.publication.shared import check_shared
from evalkit.leaderboard.rebuild import recomputed_run, scored_record
from evalkit.leaderboard.stored import StoredRun
from evalkit.results import (
    PUBLISHED_JOURNAL_NAME,
    RESULT_NAME,
    RUN_NAME,
    JournalEntry,
    Result,
    RunRecord,
    find_journal,
    find_results,
    in_order,
    read_journal,
    read_result,
    read_run,
)
from evalkit.scoring import ScoringSpec

# Sums of thousands of logarithms may end differently on another processor; counts may not.
TOLERANCE = 1e-13
# Missing lines that are named; a record can claim any number of samples.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """What does not hold: a field of a file, or the file itself where `field` is empty."""

    file: str
    field: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.field}: {self.what}" if self.field else f"{self.file}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verification:
    """`fields` of `runs` were compared; `unfinished` folders have a journal but no result yet."""

    runs: int
    fields: int
    findings: tuple[Finding, ...]
    unfinished: tuple[str, ...] = ()


@dataclass(slots=True)
class _Checked:
    """What became of one run folder."""

    folder: Path
    findings: list[Finding]
    fields: int = 0
    result: Result | None = None

    def entries(self) -> tuple[JournalEntry, ...]:
        """Read again, since keeping all journals takes memory and they are seldom needed twice."""
        return in_order(read_journal(find_journal(self.folder)))


def verify(folder: Path) -> Verification:
    """Check every run under `folder`, and the tables of a published folder.

    Journals are read, scored by what the records say, and compared with the records field by field: values,
    intervals, counts, sample sets, fingerprints. FileNotFoundError if there is no such folder, ValueError
    if it holds no run.
    """
    root = folder if folder.is_dir() else folder.parent
    recorded = {path.parent for path in find_results(folder)}
    open_ends = _without_result(folder) if folder.is_dir() else []
    if not recorded and not open_ends:
        raise ValueError(f"no {RESULT_NAME} under {folder}; `evalkit run` and `evalkit publish` write them")
    checked = [_check_run(place, root) for place in sorted(recorded)]
    _name_samples(checked, root)
    findings = [finding for one in checked for finding in one.findings]
    published = [place for place in open_ends if find_journal(place).name == PUBLISHED_JOURNAL_NAME]
    findings += [
        Finding(_name(p / RESULT_NAME, root), "", "is missing beside its journal") for p in published
    ]
    readable = [StoredRun(one.folder, one.result) for one in checked if one.result is not None]
    if len(readable) == len(checked):
        findings += [Finding(*told) for told in check_shared(root, readable)]
    unfinished = tuple(_name(place, root) for place in open_ends if place not in published)
    return Verification(len(checked), sum(one.fields for one in checked), tuple(findings), unfinished)


def verify_run(folder: Path) -> list[Finding]:
    """What does not hold in one run folder."""
    return _check_run(folder, folder.parent).findings


def _without_result(folder: Path) -> list[Path]:
    journals = {path.parent for path in folder.rglob("samples.jsonl*") if path.is_file()}
    return sorted(place for place in journals if not (place / RESULT_NAME).is_file())


def _check_run(folder: Path, root: Path) -> _Checked:
    checked = _Checked(folder, [])
    try:
        result, run = read_result(folder), read_run(folder)
        journal = find_journal(folder)
        # A journal that is longer than it may be is not read to its end.
        entries = in_order(islice(read_journal(journal), run.n * run.repeats + 1))
    except (ValueError, OSError) as error:
        checked.findings.append(Finding(_name(folder, root), "", f"cannot be read: {error}"))
        return checked
    checked.findings += [Finding(_name(journal, root), *told) for told in _lines_missing(run, entries)]
    if not entries:
        return checked
    file = _name(folder / RUN_NAME, root)
    try:
        again = recomputed_run(run, entries)
        _compare(checked, file, run, again)
        file = _name(folder / RESULT_NAME, root)
        _compare(checked, file, result, scored_record(again, entries, ScoringSpec.from_dict(result.scoring)))
        checked.result = result
    except ValueError as error:
        checked.findings.append(Finding(file, "", f"cannot be recomputed: {error}"))
    return checked


def _lines_missing(run: RunRecord, entries: Sequence[JournalEntry]) -> Iterator[tuple[str, str]]:
    """Lines that are not there, and lines that should not be: (field, what)."""
    places: dict[tuple[int, int], list[str]] = {}
    for entry in entries:
        places.setdefault((entry.index, entry.repeat), []).append(entry.id)
    due = ((index, repeat) for index in range(run.n) for repeat in range(run.repeats))
    for index, repeat in islice((place for place in due if place not in places), _SHOWN):
        before = places.get((index - 1, 0))
        after = f", after sample {before[0]!r}" if before else ""
        again = f", repeat {repeat}" if run.repeats > 1 else ""
        yield f"line of sample {index + 1} of {run.n}{again}", f"is missing{after}"
    for (index, repeat), ids in sorted(places.items()):
        if not (0 <= index < run.n and 0 <= repeat < run.repeats):
            yield f"sample {ids[0]!r}", f"is not one of the {run.n} samples of the run"
        elif len(ids) > 1:
            yield f"samples {', '.join(map(repr, ids))}", "stand at the same place of the data set"


def _compare(checked: _Checked, file: str, stored: Result | RunRecord, again: Result | RunRecord) -> None:
    for field, one, other in _leaves(stored.model_dump(mode="json"), again.model_dump(mode="json")):
        checked.fields += 1
        if not _equal(one, other):
            checked.findings.append(Finding(file, field, f"stored {one!r}, recomputed {other!r}"))


def _leaves(stored: Any, again: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(field, stored, recomputed) for everything that either has."""
    if isinstance(stored, Mapping) and isinstance(again, Mapping):
        for key in dict.fromkeys((*stored, *again)):
            yield from _leaves(stored.get(key), again.get(key), f"{where}.{key}" if where else str(key))
    else:
        yield where, stored, again


def _equal(stored: Any, again: Any) -> bool:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (stored, again))
    if not numbers:
        return bool(stored == again)
    if math.isnan(stored) or math.isnan(again):
        return math.isnan(stored) and math.isnan(again)
    return math.isclose(stored, again, rel_tol=TOLERANCE, abs_tol=0.0)


def _name_samples(checked: Sequence[_Checked], root: Path) -> None:
    """Where the data fingerprint does not hold, name the samples that another run of the task has otherwise."""
    for one in checked:
        wrong = [place for place, finding in enumerate(one.findings) if _is_data(finding)]
        twin = next((other for other in checked if _same_data(one, other)), None) if wrong else None
        if twin is None:
            continue
        told = [text.replace("first", "other") for text in unpaired(twin.entries(), one.entries())]
        other = f"; held against {_name(twin.folder, root)}: {'; '.join(told)}" if told else ""
        for place in wrong:
            finding = one.findings[place]
            one.findings[place] = replace(finding, what=finding.what + other)


def _is_data(finding: Finding) -> bool:
    return finding.field == "fingerprints.data"


def _same_data(one: _Checked, other: _Checked) -> bool:
    """Whether `other` holds and is of the data that `one` says it is of."""
    if one.result is None or other.result is None or any(map(_is_data, other.findings)):
        return False
    return one.result.fingerprints.data == other.result.fingerprints.data


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root else path.name
