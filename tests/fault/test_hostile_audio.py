"""A run over audio files that are cut, bent, lying, huge or something else: every one has a status and a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_audio import write_clips
from parrots import write_card, write_task
from trials import Trial, attempt, broken

from evalkit.results import find_results, read_journal, read_result

pytestmark = [pytest.mark.fault, pytest.mark.security]
Survived = Callable[[str, int], None]


def test_every_hostile_clip_costs_its_own_sample_and_says_why(
    tmp_path: Path, site: Path, survived: Survived
) -> None:
    clips = write_clips(tmp_path / "data")
    rows = [{"id": clip.name, "audio": clip.path, "text": "hello"} for clip in clips]
    (tmp_path / "data/test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = write_task(tmp_path / "hostile.yaml", "data")
    card = write_card(tmp_path / "parrot.yaml")
    arguments = ("run", "--model", str(card), "--tasks", str(task), "--max-failures", "1")
    outcomes = attempt(tmp_path, [Trial("hostile audio", arguments, "fine")], site)
    assert not broken(outcomes)

    (place,) = find_results(tmp_path / "work/runs")
    entries = {entry.id: entry for entry in read_journal(place.with_name("samples.jsonl"))}
    assert list(entries) == list(dict.fromkeys(entries))
    assert entries.keys() == {clip.name for clip in clips}
    wrong = {
        clip.name: entries[clip.name].response.error
        for clip in clips
        if clip.expected != "either"
        and (entries[clip.name].response.error is None) != (clip.expected == "ok")
    }
    assert not wrong
    reasons = [one.response.error for one in entries.values() if one.response.error is not None]
    assert all(len(reason) > 10 and str(tmp_path) not in reason for reason in reasons)
    counts = read_result(place).counts
    assert counts["error"] == len(reasons)
    assert sum(counts.values()) == len(clips)
    survived("hostile inputs: audio", len(clips))
