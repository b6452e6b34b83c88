"""benchmarks/throughput.py and the naive loop it compares with."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import report
import throughput
from plain import PlainModel

from evalkit.artifacts import cache_dir
from evalkit.model import Audio, AudioSlot, Card, GenerationSettings, LoadOptions, Message, Request, Response
from model_adapters.audio_llm import encoder, loading

OPTIONS = LoadOptions("cpu", "float32")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Card]:
    """A tiny random model of the class, and a backbone for it."""
    folder = tmp_path_factory.mktemp("tiny")
    sys.path.insert(0, str(Path(__file__).parents[1] / "fault"))
    tiny = importlib.import_module("tiny_backbone")
    with pytest.MonkeyPatch.context() as patch:
        for module in ("model_adapters.audio_llm.loading", "model_adapters.audio_llm.training.run", "plain"):
            patch.setattr(f"{module}.resolve", loading.resolve)
        # `install` changes these for good: set here first, they are put back at the end.
        patch.setenv("EVALKIT_CACHE", str(cache_dir()))
        tiny.install(folder)
        patch.setattr("plain.resolve", loading.resolve)
        sys.path.pop(0)
        yield _written(folder, tiny.PROJECTOR)


def _written(folder: Path, shape: dict[str, int]) -> Card:
    import torch

    from model_adapters.audio_llm.checkpoint import write_weights
    from model_adapters.audio_llm.config import ProjectorConfig
    from model_adapters.audio_llm.projector import Projector

    torch.manual_seed(1)
    write_weights(
        folder / "tiny.safetensors", Projector(ProjectorConfig.model_validate(shape)).state_dict(), {}
    )
    return Card(
        "tiny", "audio_llm", {"projector": shape, "weights": "tiny.safetensors"}, folder / "tiny.yaml"
    )


def question(seconds: float, seed: int, choices: tuple[str, ...] = ()) -> Request:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * 16_000)).astype(np.float32)
    content = (AudioSlot(0), f"What is number {seed}?")
    audio = Audio(samples, 16_000, str(seed))
    settings = GenerationSettings(max_new_tokens=6)
    return Request(f"s{seed}", (Message("user", content),), (audio,), choices, settings)


QUESTIONS = [question(0.4 + 0.7 * seed, seed) for seed in range(4)]
CHOICES = [question(0.5 + seed, seed, ("yes", "not at all", "perhaps")) for seed in range(4)]


@pytest.mark.parametrize("asked", [QUESTIONS, CHOICES], ids=["texts", "choices"])
def test_the_naive_loop_has_the_weights_and_decoding_of_evalkit(
    card: Card, asked: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With windows as short as evalkit's, its answers are evalkit's."""
    model, naive = loading.load(card, OPTIONS), PlainModel(card, OPTIONS)
    features = encoder.WhisperFeatures(loading.resolve("mini").whisper)

    def short(window: np.ndarray, **_: object) -> object:
        return type("Features", (), {"input_features": features(window)[None]})()

    class Short(type(naive.encoder)):  # type: ignore[misc]
        def forward(self, input_features: object) -> object:
            return type("Out", (), {"last_hidden_state": encoder._forward(self, input_features)})()

    naive.extractor = short
    naive.encoder.__class__ = Short
    ours = throughput.call(model, [model.prepare(one) for one in asked])
    assert [naive.answer(one) for one in asked] == [throughput.shown(one) for one in ours]


def test_the_naive_loop_pads_to_30_seconds_and_scores_every_choice_by_itself(card: Card) -> None:
    naive = PlainModel(card, OPTIONS)
    seen: list[tuple[str, tuple[int, ...]]] = []
    naive.encoder.conv1.register_forward_pre_hook(
        lambda _, given: seen.append(("mel", tuple(given[0].shape)))
    )
    naive.llm.model.layers[0].register_forward_pre_hook(
        lambda _, given: seen.append(("llm", tuple(given[0].shape[:1])))
    )
    naive.answer(CHOICES[0])
    assert seen == [("mel", (1, 80, 3000)), ("llm", (1,)), ("llm", (1,)), ("llm", (1,))]


def test_the_bare_loop_has_the_batches_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "runner"))
    tiny = importlib.import_module("tiny_model").TinyModel
    task = importlib.import_module("toy_task").toy_task(tmp_path, 20, repeats=3)
    ran, bare = tiny(), tiny()
    answers = throughput.by_evalkit(ran, task, None)
    loop = throughput.ideal_batches(bare, *throughput.asked(task, None))
    assert loop() == answers
    assert bare.batches == ran.batches
    assert len(bare.batches) > 2


def test_ratios_pair_the_turns_and_sampled_loops_count_as_if_asked_everything() -> None:
    assert throughput.ratio([2.0, 30.0, 4.0], [1.0, 10.0, 1.0]) == 3.0
    tasks = {
        "a": _measured(evalkit=2.0, plain=10.0, same=3, answers=4),
        "b": _measured(evalkit=1.0, plain=2.0, same=4, answers=4),
    }
    found = throughput.together(tasks)
    assert found["seconds_over_evalkit"] == {"plain": 4.0}
    assert found["same_as_plain"] == {"answers": 8, "same": 7, "share": 0.875}


def _measured(*, evalkit: float, plain: float, same: int, answers: int) -> dict[str, object]:
    seconds = {"evalkit": evalkit, "plain": plain}
    compared = {"plain": {"answers": answers, "same": same, "share": same / answers}}
    return {"seconds": seconds, "cpu_seconds": seconds, "compared": compared}


def test_answers_are_compared_where_both_were_asked() -> None:
    ours = [Response(text="a"), Response(text="b"), Response(text="c")]
    answers = {"evalkit": ours, "plain": ["a", "x"]}
    assert throughput.compared(answers, [0, 2], "plain") == {"answers": 2, "same": 1, "share": 0.5}
    scored = [Response(choice_logprobs=(-1.0, -2.0))]
    others = [Response(choice_logprobs=(-1.0, -2.5))]
    found = throughput.compared({"evalkit": scored, "one_by_one": others}, [0], "one_by_one")
    assert found == {"answers": 1, "same": 1, "share": 1.0, "largest_gap_of_log_likelihoods": 0.5}


def test_a_report_replaces_the_one_before_and_is_read_back(tmp_path: Path) -> None:
    out = tmp_path / "a" / "report.json"
    assert report.read(out) == {}
    report.write({"tasks": {}}, out)
    report.write({"tasks": {"x": 1}}, out)
    assert report.read(out) == {"tasks": {"x": 1}} == json.loads(out.read_text())
    assert [path.name for path in out.parent.iterdir()] == ["report.json"]
