"""From the YAML of mini_same_voice to its EER: pairs of real clips, a model that compares them, scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from evalkit.evaluation import Evaluation, evaluate
from evalkit.leaderboard.publication import verify
from evalkit.model import Audio, ModelInfo, Prepared, Request, Response
from evalkit.runner import RunSettings
from evalkit.tasks import find_tasks

PAIRS = 60


def spectrum(audio: Audio) -> NDArray[np.float64]:
    """Mean log power in 64 bands, without its level: a crude picture of a voice."""
    usable = len(audio.samples) // 512 * 512
    frames = audio.samples[:usable].reshape(-1, 512) * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 1:]) ** 2
    bands = np.log(power.reshape(len(frames), 64, 4).sum(2) + 1e-6).mean(0)
    return (bands - bands.mean()) / bands.std()


@dataclass
class Comparer:
    """Weighs `same` against `different` by how much alike the two clips' spectra are."""

    heard: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("comparer", "c" * 64, "cpu", "float32", parameters=0)

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, None, cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        raise AssertionError("choices are weighed, not generated")

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._weigh(one.request) for one in batch]

    def _weigh(self, request: Request) -> Response:
        first, second = request.audios
        self.heard[request.sample_id] = (first.sha256, second.sha256)
        alike = float(np.mean(spectrum(first) * spectrum(second)))
        same = 1 / (1 + math.exp(-4 * alike))
        logprobs = {"same": math.log(same), "different": math.log1p(-same)}
        return Response(
            choice_logprobs=tuple(logprobs[choice] for choice in request.choices),
            choice_tokens=(1, 1),
            finish_reason="choices",
        )


@pytest.fixture(scope="module")
def comparer() -> Comparer:
    return Comparer()


@pytest.fixture(scope="module")
def evaluation(comparer: Comparer, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    (task,) = find_tasks().resolve("mini_same_voice")
    return evaluate(comparer, task, RunSettings(output=tmp_path_factory.mktemp("runs"), limit=PAIRS))


def test_both_clips_of_a_pair_reach_the_model(comparer: Comparer, evaluation: Evaluation) -> None:
    assert len(comparer.heard) == PAIRS
    assert all(first != second for first, second in comparer.heard.values())


def test_the_eer_is_that_of_the_roc_curve_of_the_choices_log_odds(evaluation: Evaluation) -> None:
    entries = evaluation.run.entries
    scores = []
    for entry in entries:
        logprobs = dict(zip(entry.choices, entry.response.choice_logprobs, strict=True))
        scores.append(logprobs["same"] - logprobs["different"])
    same = np.array([entry.references[0] == "same" for entry in entries])
    assert 10 < same.sum() < PAIRS - 10
    alarms, hits, _ = roc_curve(same, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1 - x - np.interp(x, alarms, hits), 0, 1)
    found = evaluation.result.metrics["eer,none"]
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high
    assert not found.higher_is_better


def test_a_threshold_at_even_odds_gives_the_accuracy_beside_it(evaluation: Evaluation) -> None:
    right = [
        (entry.response.choice_logprobs[0] >= entry.response.choice_logprobs[1])
        == (entry.references[0] == entry.choices[0])
        for entry in evaluation.run.entries
    ]
    assert evaluation.result.metrics["accuracy,none"].value == pytest.approx(np.mean(right))
    assert evaluation.result.counts["ok"] == PAIRS


def test_the_record_verifies_from_its_journal_alone(evaluation: Evaluation) -> None:
    folder: Path = evaluation.run.folder
    found = verify(folder)
    assert found.runs == 1
    assert found.findings == ()
