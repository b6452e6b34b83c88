"""Full and read-only disks, data that vanish, clocks that jump, Ctrl-C twice: one message, and nothing lost."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clips import Ours, clips_task, write_clips
from kills import same_run
from parrots import write_card

from evalkit.evaluation import evaluate
from evalkit.results import provenance, read_journal
from evalkit.runner import RunSettings, Silent, run_task

pytestmark = pytest.mark.fault
Survived = Callable[[str, int], None]
ROOT = Path(__file__).parents[2]


def start(site: Path, folder: Path, *arguments: str, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(site), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [*before, sys.executable, "-m", "evalkit", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "EVALKIT_CACHE": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("size", [300, 900, 1500, 2500])
def test_a_disk_that_is_full_at_any_file_ends_the_run_with_a_message(
    tmp_path: Path, size: int, survived: Survived
) -> None:
    """The journal, run.json and result.json meet the limit in turn; with room again the run ends as it would have."""
    task = clips_task(tmp_path, 4)
    whole = evaluate(Ours(), task, RunSettings(tmp_path / "whole", batch_size=1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*: File too large"):
            evaluate(Ours(), task, RunSettings(tmp_path / "runs", batch_size=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.glob("runs/**/*.part"))
    assert not list(tmp_path.glob("runs/**/result.json"))
    done = evaluate(Ours(), task, RunSettings(tmp_path / "runs", batch_size=1))
    same_run(done.run.folder, whole.run.folder)
    survived("full disks", 1)


def test_an_output_that_cannot_be_written_is_named(site: Path, tmp_path: Path, survived: Survived) -> None:
    """Root may write everywhere, so the command runs without that capability."""
    task = write_clips(tmp_path, 2)
    card = write_card(tmp_path / "parrot.yaml")
    (tmp_path / "closed").mkdir(mode=0o555)
    limited = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    output = ("--output", str(tmp_path / "closed/runs"))
    process = start(
        site, tmp_path, "run", "--model", str(card), "--tasks", str(task), *output, before=limited
    )
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert err.splitlines()[-1] == f"evalkit: {tmp_path / 'closed/runs'}: Permission denied"
    survived("read-only outputs", 1)


def test_audio_that_vanishes_after_the_start_costs_its_own_sample(tmp_path: Path, survived: Survived) -> None:
    task = clips_task(tmp_path, 5)

    class Thief(Silent):
        def start(self, total: int, already_done: int) -> None:
            (tmp_path / "data/3.wav").unlink()

    done = run_task(Ours(), task, RunSettings(tmp_path / "runs", batch_size=1), Thief())
    errors = {one.id: one.response.error for one in done.entries if one.response.error}
    assert list(errors) == ["s3"]
    assert "there is no such file" in str(errors["s3"])
    survived("data files that vanished", 1)


def test_a_table_that_vanishes_is_named(tmp_path: Path, survived: Survived) -> None:
    task = clips_task(tmp_path, 3)
    run_task(Ours(), task, RunSettings(tmp_path / "runs"))
    (tmp_path / "data/test.jsonl").unlink()
    with pytest.raises(ValueError, match=r"spoken\.yaml: dataset_path: .*data holds none of test\.jsonl"):
        run_task(Ours(), task, RunSettings(tmp_path / "runs"))
    survived("data files that vanished", 1)


@pytest.mark.parametrize("jump", [timedelta(days=-20_000), timedelta(days=20_000), timedelta(hours=-1)])
def test_a_clock_that_jumps_changes_no_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta, survived: Survived
) -> None:
    task = clips_task(tmp_path, 4)
    whole = evaluate(Ours(), task, RunSettings(tmp_path / "whole", batch_size=1))

    def stop(batch: object) -> None:
        if len(model.asked) == 2:
            raise KeyboardInterrupt

    model = Ours(stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, task, RunSettings(tmp_path / "runs", batch_size=1))

    class Jumped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime.now(UTC) + jump

    monkeypatch.setattr(provenance, "datetime", Jumped)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump.total_seconds())
    done = evaluate(Ours(), task, RunSettings(tmp_path / "runs", batch_size=1))
    same_run(done.run.folder, whole.run.folder)
    assert 0 <= done.result.provenance.wall_seconds < 600
    survived("jumps of the clock", 1)


def test_ctrl_c_twice_ends_at_once_and_loses_nothing(site: Path, tmp_path: Path, survived: Survived) -> None:
    task = write_clips(tmp_path, 8)
    card = write_card(tmp_path / "parrot.yaml", seconds=0.2)
    arguments = ("run", "--model", str(card), "--tasks", str(task), "--batch-size", "2")
    process = start(site, tmp_path, *arguments)
    while not [path for path in tmp_path.glob("runs/**/samples.jsonl") if path.stat().st_size]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode in (130, -signal.SIGINT), err
    (journal,) = tmp_path.glob("runs/**/samples.jsonl")
    kept = [entry.id for entry in read_journal(journal)]
    assert kept
    again = start(site, tmp_path, *arguments)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    ids = [json.loads(line)["id"] for line in journal.read_bytes().splitlines()]
    assert ids[: len(kept)] == kept
    assert sorted(ids) == [f"s{number}" for number in range(8)]
    survived("Ctrl-C twice", 1)
