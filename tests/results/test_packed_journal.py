"""A published journal is read like any other, and never believed to be more than it is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from evalkit.model import Response
from evalkit.results import JournalEntry, JournalError, find_journal, read_journal
from evalkit.results.journal import MAX_LINE, encode_batch

ENTRIES = tuple(
    JournalEntry(f"clip-{number}", "f" * 64, ("word",), Response(text="wörd"), index=number)
    for number in range(5)
)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(gzip.compress(encode_batch(ENTRIES)))
    return path


def test_a_packed_journal_is_read_like_a_plain_one(packed: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain" / "samples.jsonl"
    plain.parent.mkdir()
    plain.write_bytes(encode_batch(ENTRIES))
    assert tuple(read_journal(packed)) == tuple(read_journal(plain)) == ENTRIES


def test_either_journal_of_a_folder_is_found_but_not_both(packed: Path) -> None:
    assert find_journal(packed.parent) == packed
    plain = packed.with_name("samples.jsonl")
    plain.write_bytes(b"")
    with pytest.raises(ValueError, match="holds two journals"):
        find_journal(packed.parent)
    packed.unlink()
    assert find_journal(plain.parent) == plain
    plain.unlink()
    with pytest.raises(FileNotFoundError, match=r"samples\.jsonl: no such file"):
        find_journal(plain.parent)


@pytest.mark.fault
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-9], lambda data: b"no gzip", lambda data: data[:40] + b"\0" * 30 + data[70:]],
    ids=["cut", "foreign", "garbled"],
)
def test_a_damaged_packed_journal_is_an_error_that_names_it(packed: Path, damage: object) -> None:
    packed.write_bytes(damage(packed.read_bytes()))  # type: ignore[operator]
    with pytest.raises(JournalError, match=r"samples\.jsonl\.gz:\d: not a whole gzip file"):
        list(read_journal(packed))


@pytest.mark.security
def test_a_line_that_no_memory_could_hold_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (MAX_LINE + 2), compresslevel=1))
    with pytest.raises(JournalError, match="more than 64 MB is no journal line"):
        list(read_journal(path))
