"""Training on real clips with tiny random models: it learns, and a killed run ends as an unbroken one."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from elsewhere import ELSEWHERE, elsewhere
from safetensors.torch import load_file
from torch import nn

from evalkit.cards import read_card
from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm.checkpoint import load_projector, read_weights
from model_adapters.audio_llm.config import LoraConfig, ProjectorConfig
from model_adapters.audio_llm.llm import load_llm
from model_adapters.audio_llm.loading import read_config
from model_adapters.audio_llm.projector import Projected, Projector, stack_frames
from model_adapters.audio_llm.prompt import Segment
from model_adapters.audio_llm.training import run
from model_adapters.audio_llm.training.align import CtcHead, ctc_loss
from model_adapters.audio_llm.training.data import Example
from model_adapters.audio_llm.training.recipe import AlignStage, DataSource, Recipe, TuneStage
from model_adapters.audio_llm.training.tune import add_lora, answer_losses
from model_adapters.backbone import Backbone

DATA = Path(__file__).parents[2] / "tasks/mini/data"
WIDTH, LLM_WIDTH = 16, 32
PROJECTOR = ProjectorConfig(
    kind="moe",
    encoder_width=WIDTH,
    llm_width=LLM_WIDTH,
    num_experts=4,
    top_k=2,
    expert_width=12,
    moe_width=24,
)
RECIPE = Recipe(
    name="tiny",
    projector=PROJECTOR,
    lora=LoraConfig(rank=2, alpha=4.0),
    data=(
        DataSource(task="mini_asr_en", path="asr.jsonl", share=2.0),
        DataSource(task="mini_vocal_expression", path="vocal.jsonl", align=False, extend=1.0),
    ),
    align=AlignStage(steps=16, batch_size=4, learning_rate=1e-2),
    extend=AlignStage(steps=7, batch_size=4, learning_rate=1e-2),
    tune=TuneStage(
        steps=12, batch_size=4, least_kept=0.5, projector_learning_rate=3e-3, lora_learning_rate=1e-2
    ),
    save_every=5,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve real clips: eight of speech, four of voices."""
    folder = tmp_path_factory.mktemp("data")
    for name, source, count in (("asr", "asr_en", 8), ("vocal", "vocal_expression", 4)):
        lines = (DATA / source / "test.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines[:: len(lines) // count][:count]]
        for row in rows:
            (folder / row["audio"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(DATA / source / row["audio"], folder / row["audio"])
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def tiny(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A random Whisper and a random Llama, with the real feature extractor and tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperModel

    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    WhisperModel(WhisperConfig(d_model=WIDTH, vocab_size=51865, **heads, **sizes)).save_pretrained(
        folder / "whisper"
    )
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=LLM_WIDTH,
            intermediate_size=48,
            num_hidden_layers=1,
            # Two groups of two: heads in another order would not go unnoticed.
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
    ).save_pretrained(folder / "llm")
    shutil.copy(backbone.whisper / "preprocessor_config.json", folder / "whisper")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(backbone.llm / name, folder / "llm")
    return Backbone("tiny", folder / "whisper", folder / "llm", "tiny", {})


@pytest.fixture
def train(
    tiny: Backbone, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """train(folder, die_at=line) trains the tiny recipe and returns what was said; it dies at that line."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run, "resolve", lambda name: tiny)

    def trained(output: Path, recipe: Recipe = RECIPE, die_at: str = "\0") -> list[str]:
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if line.startswith(die_at):
                raise KeyboardInterrupt

        run.train(recipe, output, data=data, device="cpu", say=say)
        return said

    return trained


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_both_stages_learn_and_leave_a_model_that_loads(train: Any, tmp_path: Path) -> None:
    steps = {
        "align": RECIPE.align.model_copy(update={"steps": 60}),
        "tune": RECIPE.tune.model_copy(update={"steps": 40}),
    }
    train(tmp_path / "out", RECIPE.model_copy(update=steps))
    for stage, count, share in (("align", 60, 0.8), ("tune", 40, 0.8)):
        losses = [float(row["loss"]) for row in rows(tmp_path / f"out/{stage}.csv")]
        assert len(losses) == count
        assert sum(losses[-5:]) < share * sum(losses[:5])
        assert "Expert load" in (tmp_path / f"out/{stage}.svg").read_text(encoding="utf-8")
    config = read_config(read_card(tmp_path / "out/tiny.yaml"))
    weights = read_weights(tmp_path / "out" / config.weights)
    assert config.projector == PROJECTOR
    assert config.lora == RECIPE.lora
    load_projector(config.projector, weights.projector, "tiny")
    assert len(weights.lora) == 2 * 7
    assert all(value.any() for value in weights.lora.values())


@pytest.mark.fault
def test_a_killed_and_resumed_run_ends_exactly_as_an_unbroken_one(train: Any, tmp_path: Path) -> None:
    train(tmp_path / "whole")
    for line in ("features 8/12", "align 5/", "align 15/", "align 16/", "extend 7/", "tune 5/", "tune 12/"):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "broken", die_at=line)
    said = train(tmp_path / "broken")
    assert not [line for line in said if line.startswith(("align", "extend", "tune"))]
    for name in ("align.csv", "extend.csv", "tune.csv", "tiny.yaml"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    whole, broken = (load_file(tmp_path / run / "tiny.safetensors") for run in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_it_trains_on_another_device_as_on_the_cpu(
    train: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(scores: torch.Tensor, targets: Any, lengths: Any, counts: Any, **more: Any) -> torch.Tensor:
        # A real device takes lengths on the CPU; torch's way around kernels, which ours goes, does not.
        return ctc(scores, targets, lengths.to(scores.device), counts.to(scores.device), **more)

    ctc = torch.nn.functional.ctc_loss
    monkeypatch.setattr(torch.nn.functional, "ctc_loss", on)
    monkeypatch.setattr(run, "_faster_dtype", lambda device: torch.float32)
    train(tmp_path / "here")
    monkeypatch.setattr(run, "pick_device", lambda name: ELSEWHERE)
    with elsewhere():
        train(tmp_path / "there")
    for stage in ("align", "extend", "tune"):
        here, there = (
            [float(row["loss"]) for row in rows(tmp_path / f"{folder}/{stage}.csv")]
            for folder in ("here", "there")
        )
        assert there == pytest.approx(here, rel=1e-3)
    assert "device: elsewhere" in (tmp_path / "there/tiny.yaml").read_text(encoding="utf-8")


def test_other_data_do_not_go_on_from_where_a_run_was_killed(train: Any, data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", die_at="align 5/")
    listing = data / "asr.jsonl"
    text = listing.read_text()
    listing.write_text(text.replace('"text": "', '"text": "now '))
    try:
        with pytest.raises(ValueError, match="from other data"):
            train(tmp_path / "out")
    finally:
        listing.write_text(text)


def test_two_trainings_into_one_folder_are_refused(train: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (
        filelock.FileLock(tmp_path / "out/.lock"),
        pytest.raises(ValueError, match="another process is training into"),
    ):
        train(tmp_path / "out")


def test_a_projector_of_other_widths_is_refused_before_anything_is_encoded(
    train: Any, tmp_path: Path
) -> None:
    wide = RECIPE.model_copy(update={"projector": PROJECTOR.model_copy(update={"encoder_width": 99})})
    with pytest.raises(ValueError, match=r"an encoder of width 99 .* this backbone has 16 and 32"):
        train(tmp_path / "out", wide)


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(train: Any, tmp_path: Path) -> None:
    short = {"align": AlignStage(steps=2, batch_size=4), "tune": TuneStage(steps=2, batch_size=4)}
    recipe = RECIPE.model_copy(update=short)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(tmp_path / name, recipe.model_copy(update={"seed": seed}))
    a, b, c = ((tmp_path / name / "tiny.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_every_task_has_a_column_even_if_the_first_batch_lacks_it(train: Any, tmp_path: Path) -> None:
    tune = RECIPE.tune.model_copy(update={"steps": 10, "batch_size": 1})
    train(tmp_path / "out", RECIPE.model_copy(update={"tune": tune}))
    found = rows(tmp_path / "out/tune.csv")
    for task in ("mini_asr_en", "mini_vocal_expression"):
        values = [row[f"loss_{task}"] for row in found]
        assert any(values)
        assert not all(values)


def example(source: int = 0, before: tuple[int, ...] = (1,), answer: tuple[int, ...] = (2,)) -> Example:
    segments = (Segment(tokens=before), Segment(audio=0), Segment(tokens=(7, 8)))
    return Example(source, "t", (AudioRef("a"),), segments, answer, ())


@pytest.mark.parametrize("targets", [[[1, 2], [3]], [[3, 3], [5]], [[1, 2, 3], [4, 5]]], ids=str)
def test_the_ctc_loss_is_torchs_over_cosines_to_token_embeddings(targets: list[list[int]]) -> None:
    """Loss and gradients, whether the batch's targets use the whole vocabulary or a part of it."""
    torch.manual_seed(0)
    embeddings = torch.randn(50, 8)
    head = CtcHead([4, 9, 30, 31, 44], embeddings)
    frames = torch.randn(11, 8, requires_grad=True)
    table = torch.cat([head.blank, embeddings[[4, 9, 30, 31, 44]]])
    cosine = (frames / frames.norm(dim=1, keepdim=True)) @ (table / table.norm(dim=1, keepdim=True)).T
    alone = [
        nn.functional.ctc_loss(
            rows, torch.tensor(target), torch.tensor([len(rows)]), torch.tensor([len(target)])
        )
        for rows, target in zip((head.scale * cosine).log_softmax(-1).split([7, 4]), targets, strict=True)
    ]
    expected = torch.stack(alone).mean()
    loss = ctc_loss(head, Projected(frames, None), [7, 4], [torch.tensor(t) for t in targets])
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    wanted = (frames, head.blank, head.scale)
    for found, gradient in zip(
        torch.autograd.grad(loss, wanted), torch.autograd.grad(expected, wanted), strict=True
    ):
        torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5)


def test_answers_are_scored_at_their_own_places_whatever_else_is_in_the_batch(tiny: Backbone) -> None:
    llm, _ = load_llm(tiny.llm, torch.float32, torch.device("cpu"))
    torch.manual_seed(0)
    projector = Projector(PROJECTOR)

    batch = [example(0, (1, 2, 3), (11, 12, 2)), example(0, (1,), (13, 2))]
    states = [torch.randn(9, WIDTH), torch.randn(30, WIDTH)]
    losses, where, _ = answer_losses(llm, projector, batch, [stack_frames(s, 4) for s in states])
    assert where.tolist() == [0, 0, 0, 1, 1]
    together = losses.split([3, 2])
    embed = llm.get_input_embeddings()
    for one, state, found in zip(batch, states, together, strict=True):
        padded = torch.cat([state, state.new_zeros(-len(state) % 4, WIDTH)]).reshape(-1, 4 * WIDTH)
        audio = projector(padded).embeddings
        texts = [embed(torch.tensor(t)) for t in (one.segments[0].tokens, (7, 8), one.answer)]
        whole = torch.cat([texts[0], audio, texts[1], texts[2]])[None]
        logits = llm(inputs_embeds=whole).logits[0, -len(one.answer) - 1 : -1]
        expected = nn.functional.cross_entropy(logits, torch.tensor(one.answer), reduction="none")
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_llm_itself_stays_as_it_is(tiny: Backbone) -> None:
    llm, _ = load_llm(tiny.llm, torch.bfloat16, torch.device("cpu"))
    add_lora(llm, LoraConfig(rank=2, alpha=4.0), seed=0)
    trained = {name for name, p in llm.named_parameters() if p.requires_grad}
    assert len(trained) == 14
    assert {p.dtype for name, p in llm.named_parameters() if name in trained} == {torch.float32}
