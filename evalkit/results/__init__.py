"""The result record, the journal and fingerprints: reading and writing them."""

from __future__ import annotations

from evalkit.results.journal import JournalError, JournalWriter, in_order, read_journal
from evalkit.results.lock import RunLockedError, hold
from evalkit.results.record import (
    SCHEMA_VERSION,
    Fingerprints,
    JournalEntry,
    MetricValue,
    Prediction,
    Provenance,
    Result,
)
from evalkit.results.run_record import RunRecord, task_from_snapshot, task_snapshot
from evalkit.results.store import (
    JOURNAL_NAME,
    PUBLISHED_JOURNAL_NAME,
    RESULT_NAME,
    RUN_NAME,
    build_result,
    find_journal,
    find_results,
    read_result,
    read_run,
    run_folder,
    write_result,
    write_run,
)

__all__ = [
    "JOURNAL_NAME",
    "PUBLISHED_JOURNAL_NAME",
    "RESULT_NAME",
    "RUN_NAME",
    "SCHEMA_VERSION",
    "Fingerprints",
    "JournalEntry",
    "JournalError",
    "JournalWriter",
    "MetricValue",
    "Prediction",
    "Provenance",
    "Result",
    "RunLockedError",
    "RunRecord",
    "build_result",
    "find_journal",
    "find_results",
    "hold",
    "in_order",
    "read_journal",
    "read_result",
    "read_run",
    "run_folder",
    "task_from_snapshot",
    "task_snapshot",
    "write_result",
    "write_run",
]
