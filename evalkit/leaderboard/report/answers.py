"""A run folder, read for a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evalkit.results import (
    RESULT_NAME,
    JournalEntry,
    MetricValue,
    RunRecord,
    find_journal,
    in_order,
    read_journal,
    read_result,
    read_run,
    task_from_snapshot,
)
from evalkit.scoring import ScoringSpec, score


@dataclass(frozen=True, slots=True)
class StoredAnswers:
    """A run folder, read: what `run.json` says, the answers, and by what they are scored to which values."""

    run: RunRecord
    entries: tuple[JournalEntry, ...]
    spec: ScoringSpec
    metrics: Mapping[str, MetricValue]

    @property
    def task(self) -> str:
        return str(self.run.task["name"])


def read_answers(folder: Path) -> StoredAnswers:
    """The run in `folder`; one that has not ended is scored as far as it went.

    Raises ValueError or FileNotFoundError for a folder that holds no run, or one without an answer.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; give a run folder, runs/MODEL/TASK@FINGERPRINT")
    run = read_run(folder)
    entries = in_order(read_journal(find_journal(folder)))
    if not entries:
        raise ValueError(f"{folder}: the journal holds no answer yet; there is nothing to report")
    if (folder / RESULT_NAME).is_file():
        result = read_result(folder)
        return StoredAnswers(run, entries, ScoringSpec.from_dict(result.scoring), result.metrics)
    spec = ScoringSpec.from_task(task_from_snapshot(run.task))
    return StoredAnswers(run, entries, spec, score(entries, spec, seed=run.provenance.seed).metrics)
