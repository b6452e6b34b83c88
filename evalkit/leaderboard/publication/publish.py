"""Copy runs into a folder that stands alone: records, journals, tables, environment, licences, README."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evalkit.leaderboard.publication.redaction import private, redacted
from evalkit.leaderboard.publication.shared import shared_files
from evalkit.leaderboard.publication.verify import verify_run
from evalkit.leaderboard.stored import StoredRun, find_runs, newest
from evalkit.results import (
    PUBLISHED_JOURNAL_NAME,
    RESULT_NAME,
    RUN_NAME,
    JournalEntry,
    Provenance,
    Result,
    RunRecord,
    run_folder,
    write_result,
    write_run,
)
from evalkit.results.files import write_atomically
from evalkit.results.journal import encode_batch

_SHOWN = 10
_OWN = (RESULT_NAME, RUN_NAME, PUBLISHED_JOURNAL_NAME)


@dataclass(frozen=True, slots=True)
class Publication:
    """What became of a call: folders written, published ones that newer runs replaced, runs not taken."""

    folder: Path
    written: tuple[Path, ...]
    removed: tuple[Path, ...]
    left_out: tuple[str, ...]


def publish(runs: Sequence[StoredRun], output: Path) -> Publication:
    """Publish the newest complete run of every model, audio setting and task among `runs` and `output`.

    Equal runs give equal bytes, so publishing again changes nothing. Partial runs are left out. ValueError
    before anything is written: for no run, for a run whose numbers do not hold, and for what is private
    (home folder, keys) where it cannot be taken out because it is scored. OSError if it cannot be written.
    """
    before = find_runs([output]) if output.is_dir() else []
    chosen = newest([*before, *runs])
    fresh = [run for run in chosen if run not in before]
    if not chosen:
        raise ValueError("nothing to publish: every run is partial (--limit)")
    _check(fresh)
    written = [_copy(run, output) for run in fresh]
    gone = [run.folder for run in before if run not in chosen and run.folder not in written]
    for folder in gone:
        _remove(folder)
    stored = sorted(find_runs([output]), key=lambda run: run.folder)
    for name, content in shared_files(output, stored).items():
        write_atomically(output / name, content)
    return Publication(output, tuple(written), tuple(gone), tuple(_left_out(runs, chosen)))


def _check(runs: Sequence[StoredRun]) -> None:
    """ValueError for what must not be published."""
    problems = [str(finding) for run in runs for finding in verify_run(run.folder)]
    problems += [problem for run in runs for problem in _private(run)]
    if problems:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise ValueError(
            "\n  ".join(["cannot be published:", *problems[:_SHOWN], *more])
            + "\nrecords of an older evalkit are scored anew by the `evalkit run` that made them, "
            "or by `evalkit rescore RUN --write`"
        )


def _private(run: StoredRun) -> Iterator[str]:
    """What is left of private things after redaction, by its place."""
    for name, record in ((RUN_NAME, _shareable_run(run)), (RESULT_NAME, _shareable_result(run))):
        text = json.dumps(record.model_dump(mode="json"), ensure_ascii=False)
        yield from (f"{run.folder / name} holds {what}" for what in private(text))
    for entry in _shareable_entries(run):
        text = json.dumps(asdict(entry), ensure_ascii=False, default=str)
        yield from (
            f"{run.folder}: the answer or data of sample {entry.id!r} hold {what}" for what in private(text)
        )


def _copy(run: StoredRun, output: Path) -> Path:
    """Write the three files of a run, the result last, and return their folder."""
    record, result = _shareable_run(run), _shareable_result(run)
    journal = b"".join(encode_batch((entry,)) for entry in _shareable_entries(run))
    folder = run_folder(output, result.model, result.task, result.fingerprints.generation)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT_NAME).unlink(missing_ok=True)
    # Without a time in it, so that equal journals give equal bytes.
    write_atomically(folder / PUBLISHED_JOURNAL_NAME, gzip.compress(journal, compresslevel=9, mtime=0))
    write_run(folder, record)
    write_result(folder / RESULT_NAME, result)
    return folder


def _shareable_entries(run: StoredRun) -> list[JournalEntry]:
    """The journal in data set order, error messages without what they tell of the machine."""
    return [
        entry
        if entry.response.error is None
        else replace(entry, response=replace(entry.response, error=redacted(entry.response.error)))
        for entry in run.entries()
    ]


def _shareable_run(run: StoredRun) -> RunRecord:
    record = run.record()
    return record.model_copy(update={"provenance": _shareable(record.provenance)})


def _shareable_result(run: StoredRun) -> Result:
    return run.result.model_copy(update={"provenance": _shareable(run.result.provenance)})


def _shareable(made: Provenance) -> Provenance:
    named = ("sources", "model_args")
    return made.model_copy(
        update={
            field: {name: redacted(text) for name, text in getattr(made, field).items()} for field in named
        }
    )


def _remove(folder: Path) -> None:
    """Take back what `_copy` wrote; anything else in the folder stays."""
    for name in _OWN:
        (folder / name).unlink(missing_ok=True)
    for place in (folder, folder.parent):
        if not any(place.iterdir()):
            place.rmdir()


def _left_out(runs: Sequence[StoredRun], chosen: Sequence[StoredRun]) -> Iterator[str]:
    for run in runs:
        if run not in chosen:
            why = "a partial run" if run.result.partial else "a newer run of the same is published"
            yield f"{run.folder}: {why}"
