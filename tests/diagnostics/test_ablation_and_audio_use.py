"""What is lost without an expert, and whether a model listens, on models whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from evalkit.diagnostics.ablation import changes_of, diagnose_ablation
from evalkit.diagnostics.answers import answers, change, first_metric
from evalkit.diagnostics.audio_use import check_audio
from evalkit.diagnostics.clips import spread_samples
from evalkit.inside import Projection, Rerouting
from evalkit.tasks import find_tasks
from evalkit.tasks.schema import Task

Made = Callable[..., Any]


def quiet(text: str) -> None:
    """Say nothing."""


def test_every_expert_the_shared_one_and_the_routing_as_a_whole_can_be_changed() -> None:
    found = changes_of(3, 1, shared=True)
    assert list(found) == ["expert 0 off", "expert 1 off", "expert 2 off", "shared off", "even", "shifted"]
    assert found["expert 1 off"] == Rerouting(off=(1,))
    assert list(changes_of(2, 2, shared=False)) == ["even", "shifted"]


def test_without_its_expert_a_task_is_lost_and_the_other_is_not(ear: Made, tasks: list[Task]) -> None:
    report = diagnose_ablation(ear(), tasks, 12, seed=0, say=quiet)
    rows = {(row["change"], row["task"]): row for row in report.tables[0].dicts()}
    lost, kept = rows["expert 0 off", "low"], rows["expert 0 off", "high"]
    assert (lost["as it is"], lost["changed"], lost["gain"], lost["answers changed"]) == (1, 0, -1, 1)
    assert (lost["low"], lost["high"]) == (-1, -1)
    assert lost["p"] == 0.125  # four players: two of the 2^4 exchanges are as extreme
    assert (kept["gain"], kept["p"], kept["answers changed"]) == (0, 1, 0)
    assert all(row["p, Holm"] >= row["p"] for row in rows.values())
    assert lost["p, Holm"] == 1
    assert {name for name, _ in rows} == {"expert 0 off", "expert 1 off", "expert 2 off", "even", "shifted"}


def test_a_dense_projector_has_nothing_to_ablate(ear: Made, tasks: list[Task]) -> None:
    class Dense(ear):  # type: ignore[misc, valid-type]
        def project(self, batch: Any) -> list[Projection]:
            return [Projection(one.embeddings) for one in super().project(batch)]

    with pytest.raises(ValueError, match="flat: its projector has no routed experts"):
        diagnose_ablation(Dense("flat"), tasks, 4, seed=0, say=quiet)


def test_a_gain_is_positive_for_better_whatever_the_metric(ear: Made, tasks: list[Task]) -> None:
    from dataclasses import replace

    from evalkit.tasks.schema import MetricSpec

    task = replace(tasks[1], metrics=(MetricSpec("wer"),))
    samples = spread_samples(task, 8)
    deaf, hears = (first_metric(task, answers(m, task, samples)) for m in (ear(deaf=True), ear()))
    found = change(deaf, hears, seed=0)
    assert (found.first, found.second, found.gain, found.low, found.high) == (1, 0, 1, 1, 1)


@pytest.fixture
def both(tones: Any, tmp_path: Any) -> Task:
    """Low and high tones in one task."""
    rows = [line for name in ("low", "high") for line in (tones / f"{name}.jsonl").read_text().splitlines()]
    (tmp_path / "both.jsonl").write_text("\n".join(rows).replace('"audio": "', f'"audio": "{tones}/') + "\n")
    text = (
        (tones / "low.yaml").read_text().replace("task: low", "task: both").replace("low.jsonl", "both.jsonl")
    )
    (tmp_path / "both.yaml").write_text(text.replace(", cluster: player", ""))
    return find_tasks([tmp_path]).load("both")


def test_a_model_that_listens_gains_from_the_audio(ear: Made, both: Task) -> None:
    found = check_audio(ear(), both, seed=0, say=quiet)
    assert found is not None
    assert found.warning() == ""
    for setting in ("none", "silence"):
        gain = found.gains[setting]
        assert (gain.first, gain.second, gain.gain) == (0.5, 1, 0.5)
        assert gain.low is not None and gain.low > 0.2
        assert gain.p < 0.001
        assert found.changed[setting] == 0.5


def test_a_deaf_model_is_shouted_about(ear: Made, both: Task) -> None:
    found = check_audio(ear(deaf=True), both, seed=0, say=quiet)
    assert found is not None
    assert found.changed == {"none": 0, "silence": 0, "shuffled": 0}
    assert found.warning().startswith("ear on both: AUDIO CHANGES NOTHING")
    assert found.gains["none"].gain == 0


def test_a_model_that_hears_but_does_not_gain_is_told_apart_from_a_deaf_one(ear: Made, both: Task) -> None:
    class Contrary(ear):  # type: ignore[misc, valid-type]
        def expert(self, high: int) -> int:
            return 2 if high else 0

    found = check_audio(Contrary(), both, seed=0, say=quiet)
    assert found is not None
    assert "no gain of audio over text alone is shown on 24 samples" in found.warning()


def test_only_two_different_recordings_can_be_exchanged(ear: Made, tasks: list[Task]) -> None:
    assert check_audio(ear(), tasks[0], seed=0, say=quiet, limit=1) is None
