"""`--engine ray` on a real local cluster of two workers."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import loads
import pytest
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.model import Model
from evalkit.runner import DeviceLostError, RunSettings, TaskRun, run_task
from evalkit.runner.progress import Silent
from evalkit.runner.ray_engine import RayReplicas

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'evalkit-audio[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # The workers find the functions of `loads` by name.
        paths = [str(Path(__file__).parent), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


class Kills(Silent):
    """Kills one of the two replicas after so many batches."""

    def __init__(self, folder: Path, after: int) -> None:
        self.folder, self.left = folder, after

    def advance(self, n: int, audio_seconds: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(int(min(self.folder.glob("*.pid")).stem), signal.SIGKILL)


def run(
    folder: Path, load: Callable[[str], Model], progress: Silent | None = None, samples: int = 20
) -> TaskRun:
    replicas = RayReplicas(functools.partial(load, str(folder)), 2, expected=TinyModel().info)
    task = toy_task(folder / "data", samples)
    settings = RunSettings(folder / "cluster", batch_size=2)
    try:
        return run_task(TinyModel(), task, settings, progress, engines=replicas.engine)
    finally:
        for actor in replicas.actors():
            ray.kill(actor)


def alone(folder: Path) -> TaskRun:
    return run_task(TinyModel(), toy_task(folder / "data"), RunSettings(folder / "alone", batch_size=2))


def test_a_cluster_answers_as_one_process_does_though_a_replica_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = run(tmp_path, loads.tiny, Kills(tmp_path, after=5), samples=60)
    assert done.entries == alone(tmp_path).entries
    assert done.failures == 0
    # Two were there, one was killed, and Ray started it again or the other did the rest.
    assert len(list(tmp_path.glob("*.pid"))) >= 2
    (told,) = [one.getMessage() for one in caplog.records if one.name == "evalkit.runner.ray_engine"]
    assert re.fullmatch(r"lost replica [12] of 2: its process or its node is gone", told)


def test_a_sample_that_takes_every_replica_with_it_ends_the_run_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceLostError, match=r"3 replicas were lost over the batch of .*clip-003"):
        run(tmp_path, loads.deadly)
    kept = alone_after(tmp_path)
    assert kept.failures == 0


def alone_after(folder: Path) -> TaskRun:
    """The same run gone on with in this process."""
    return run_task(TinyModel(), toy_task(folder / "data"), RunSettings(folder / "cluster", batch_size=2))


def test_a_model_that_no_node_can_load_says_why_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^no weights on this node$"):
        run(tmp_path, loads.missing)


def test_a_node_with_other_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model tiny: a node of the Ray cluster has other weights"):
        run(tmp_path, loads.other)


def test_a_sample_that_cannot_be_read_is_an_error_on_a_cluster_too(tmp_path: Path) -> None:
    toy_task(tmp_path / "data", 6)
    replicas = RayReplicas(functools.partial(loads.tiny, str(tmp_path)), 1)
    (tmp_path / "data/clips/002.wav").write_bytes(b"")
    task = toy_task(tmp_path / "data")
    done = run_task(
        TinyModel(), task, RunSettings(tmp_path / "cluster", batch_size=2), engines=replicas.engine
    )
    assert [entry.id for entry in done.entries if entry.response.error] == ["clip-002"]
    assert done.entries == alone(tmp_path).entries
