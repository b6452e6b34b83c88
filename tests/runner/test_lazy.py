from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny_model import TinyModel
from toy_task import toy_task

from evalkit.model import Message, ModelInfo, Request
from evalkit.runner import LazyModel, RunSettings, run_task

INFO = TinyModel().info


def counting(loads: list[int], delay: float = 0.0) -> Callable[[], TinyModel]:
    def load() -> TinyModel:
        loads.append(1)
        time.sleep(delay)
        return TinyModel()

    return load


def test_known_info_needs_no_weights() -> None:
    loads: list[int] = []
    assert LazyModel(counting(loads), INFO).info == INFO
    assert loads == []


def test_unknown_info_loads_once() -> None:
    loads: list[int] = []
    model = LazyModel(counting(loads))
    assert model.info == model.info == INFO
    assert len(loads) == 1


def test_threads_that_come_together_load_once() -> None:
    loads: list[int] = []
    model = LazyModel(counting(loads, delay=0.02), INFO)
    request = Request("s", (Message("user", ("x",)),))
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(model.prepare, [request] * 8))) == 8
    assert len(loads) == 1


def test_weights_that_are_not_those_promised_are_refused() -> None:
    model = LazyModel(TinyModel, ModelInfo("tiny", "0" * 64, "cpu", "float32"))
    with pytest.raises(RuntimeError, match="weights changed"):
        model.loaded()


def test_a_failure_to_load_stops_the_run_and_blames_no_sample(tmp_path: Path) -> None:
    def load() -> TinyModel:
        raise OSError("no weights here")

    with pytest.raises(OSError, match="no weights here"):
        run_task(LazyModel(load, INFO), toy_task(tmp_path / "data", 3), RunSettings(tmp_path / "runs"))
    (journal,) = (tmp_path / "runs").rglob("samples.jsonl")
    assert journal.read_bytes() == b""
