from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.results import JOURNAL_NAME, hold, read_journal, read_run
from evalkit.runner import RunSettings, TaskRun, run_task
from evalkit.tasks.schema import Task

HERE = Path(__file__).parent
SAMPLES = 30

pytestmark = pytest.mark.fault


def start(
    data: Path, output: Path, delay: float = 0.02, before: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(HERE / "toy_run.py"), str(data), str(output), str(delay)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


def wait_for_lines(output: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        journals = list(output.rglob(JOURNAL_NAME))
        if journals and journals[0].read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.001)


def finish(task: Task, output: Path) -> tuple[TaskRun, TinyModel]:
    model = TinyModel()
    return run_task(model, task, RunSettings(output, batch_size=3)), model


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return toy_task(tmp_path_factory.mktemp("data"), SAMPLES)


@pytest.fixture(scope="module")
def whole(task: Task, tmp_path_factory: pytest.TempPathFactory) -> TaskRun:
    return finish(task, tmp_path_factory.mktemp("whole"))[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(
    task: Task, whole: TaskRun, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    process = start(task.path.parent, tmp_path)
    wait_for_lines(tmp_path, rng.randrange(SAMPLES), process)
    time.sleep(rng.random() * 0.02)
    process.kill()
    assert process.wait() in (-signal.SIGKILL, 0)
    (journal,) = tmp_path.rglob(JOURNAL_NAME)
    finished = [entry.id for entry in read_journal(journal)]

    done, model = finish(task, tmp_path)
    assert done.resumed == len(finished)
    assert sorted(finished + model.asked) == [entry.id for entry in whole.entries]
    assert done.entries == whole.entries
    assert journal.read_bytes() == (whole.folder / JOURNAL_NAME).read_bytes()
    assert done.run.fingerprints == whole.run.fingerprints


def test_ctrl_c_leaves_a_complete_journal_and_a_free_folder(
    task: Task, whole: TaskRun, tmp_path: Path
) -> None:
    process = start(task.path.parent, tmp_path)
    wait_for_lines(tmp_path, 6, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    (journal,) = tmp_path.rglob(JOURNAL_NAME)
    lines = journal.read_bytes()
    finished = list(read_journal(journal))
    assert lines.endswith(b"\n")
    assert lines.count(b"\n") == len(finished) >= 6
    assert read_run(journal.parent).provenance.wall_seconds > 0
    with hold(journal.parent):
        pass
    assert finish(task, tmp_path)[0].entries == whole.entries


def test_two_runs_at_once_do_not_mix(task: Task, whole: TaskRun, tmp_path: Path) -> None:
    first = start(task.path.parent, tmp_path, delay=60)
    wait_for_lines(tmp_path, 0, first)
    second = start(task.path.parent, tmp_path)
    _, message = second.communicate(timeout=120)
    assert second.returncode == 1
    assert f"process {first.pid} is running here" in message.decode()
    first.kill()
    first.wait()
    assert finish(task, tmp_path)[0].entries == whole.entries


def test_a_full_disk_ends_the_run_with_a_message_and_loses_nothing(
    task: Task, whole: TaskRun, tmp_path: Path
) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    process = start(task.path.parent, tmp_path, before=small_files)
    _, message = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "cannot write" in message.decode()
    assert "what it holds so far is safe" in message.decode()
    (journal,) = tmp_path.rglob(JOURNAL_NAME)
    assert journal.read_bytes().endswith(b"\n")
    finished = list(read_journal(journal))
    assert 0 < len(finished) < SAMPLES
    done, _ = finish(task, tmp_path)
    assert done.resumed == len(finished)
    assert done.entries == whole.entries
