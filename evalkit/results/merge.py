"""The journals of a run's shards, put together to the journal of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from evalkit.results.journal import in_order, read_journal, rewrite_journal
from evalkit.results.lock import hold
from evalkit.results.record import JournalEntry
from evalkit.results.run_record import RunRecord
from evalkit.results.store import JOURNAL_NAME, RUN_NAME, read_run, write_run

_SHARD = re.compile(r"(\d+)-of-(\d+)")

Merged = tuple[Path, RunRecord, tuple[JournalEntry, ...]]


def merge_shards(output: Path) -> list[Merged]:
    """Write the journal and record of every run under `<output>/shards` to `<output>/<model>/<run>`.

    Nothing is written before everything has been checked. Raises FileNotFoundError where there are no
    shards, ValueError for a run that lacks a shard or an answer, or whose shards do not belong together.
    """
    found = _runs(output)
    if not found:
        raise FileNotFoundError(
            f"{output / 'shards'}: no shards; run with RANK and WORLD_SIZE set makes them"
        )
    merged = [
        (output / name, *_joined(name, shards))
        for name, shards in sorted(found.items(), key=lambda one: one[0])
    ]
    for folder, run, entries in merged:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder):
            rewrite_journal(folder / JOURNAL_NAME, entries)
            write_run(folder, run)
    return merged


def _runs(output: Path) -> dict[Path, dict[tuple[int, int], Path]]:
    """`<model>/<run>` to the folders of its shards, by (rank, world)."""
    found: dict[Path, dict[tuple[int, int], Path]] = {}
    for shard in sorted((output / "shards").glob("*-of-*")):
        numbers = _SHARD.fullmatch(shard.name)
        if numbers is None:
            continue
        for record in sorted(shard.glob(f"*/*/{RUN_NAME}")):
            folder = record.parent
            number = (int(numbers[1]), int(numbers[2]))
            found.setdefault(folder.relative_to(shard), {})[number] = folder
    return found


def _joined(name: Path, shards: Mapping[tuple[int, int], Path]) -> tuple[RunRecord, tuple[JournalEntry, ...]]:
    worlds = {world for _, world in shards}
    if len(worlds) > 1:
        counts = " and ".join(map(str, sorted(worlds)))
        raise ValueError(f"{name}: there are shards of runs in {counts} parts; remove those of one of them")
    (world,) = worlds
    missing = [str(rank) for rank in range(world) if (rank, world) not in shards]
    if missing:
        raise ValueError(
            f"{name}: shard {', '.join(missing)} of {world} is missing; run it, then merge again"
        )
    records = {rank: read_run(folder) for (rank, _), folder in sorted(shards.items())}
    first = records[0]
    for rank, record in records.items():
        if (record.fingerprints, record.requests) != (first.fingerprints, first.requests):
            raise ValueError(f"{name}: shard {rank} asks other questions, or another model, than shard 0")
    entries = in_order(entry for folder in shards.values() for entry in read_journal(folder / JOURNAL_NAME))
    due = first.n * first.repeats
    if len({(entry.id, entry.repeat) for entry in entries}) != due or len(entries) != due:
        raise ValueError(
            f"{name}: the shards hold {len(entries)} of {due} answers; run the same commands again, then merge"
        )
    return _together(first, records), entries


def _together(first: RunRecord, records: Mapping[int, RunRecord]) -> RunRecord:
    """Side by side the shards took as long as the slowest, and as much memory as the largest."""
    made = [record.provenance for record in records.values()]
    changes = {
        "started": min(one.started for one in made),
        "wall_seconds": max(one.wall_seconds for one in made),
        "peak_memory": max(one.peak_memory for one in made),
    }
    return first.model_copy(update={"provenance": first.provenance.model_copy(update=changes)})
