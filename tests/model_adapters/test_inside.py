"""What diagnoses ask of the audio LLM: read-out, other routing, gradients, cost. Small projectors, a tiny Llama."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from evalkit.inside import Rerouting, Supervised
from evalkit.model import ModelInfo, Prepared, Request
from model_adapters.audio_llm import backward, cost, readout
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.prompt import Segment
from model_adapters.audio_llm.rerouting import changed, renamed, rerouted

SIZES: dict[str, Any] = {"encoder_width": 6, "stack": 2, "llm_width": 16, "hidden_width": 9}
MOE = ProjectorConfig(kind="moe", num_experts=5, top_k=2, expert_width=5, moe_width=7, **SIZES)
DENSE = ProjectorConfig(kind="dense", **SIZES)
LINEAR = ProjectorConfig(kind="linear", **SIZES)


def made(config: ProjectorConfig) -> Projector:
    torch.manual_seed(0)
    projector = Projector(config)
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return projector.eval().requires_grad_(False)


def frames(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, 12, generator=generator) for length in lengths]


def test_the_read_out_is_what_the_forward_pass_does_with_each_clip() -> None:
    projector, clips = made(MOE), frames(4, 0, 7)
    found = readout.projections(projector, clips)
    for clip, projection in zip(clips, found, strict=True):
        plain = projector(clip)
        assert plain.routing is not None
        np.testing.assert_allclose(projection.embeddings, plain.embeddings.numpy(), rtol=1e-5, atol=1e-6)
        (routing,) = projection.routing
        assert routing.experts.tolist() == plain.routing.experts.tolist()
        np.testing.assert_allclose(routing.gates.sum(1), 1, rtol=1e-6)
    assert readout.projections(made(DENSE), clips)[0].routing == ()


def test_the_experts_outputs_add_up_to_the_projection() -> None:
    projector, (clip,) = made(MOE), frames(6)
    ((outputs,),) = readout.expert_outputs(projector, [clip])
    ((routing,),) = (one.routing for one in readout.projections(projector, [clip]))
    assert outputs.shape == (6, 6, 7)
    gates = np.zeros((6, 6), dtype=np.float32)
    np.put_along_axis(gates, routing.experts, routing.gates, axis=1)
    gates[:, 5] = 1.0
    mixed = torch.from_numpy(np.einsum("te,tem->tm", gates, outputs))
    expected = projector.norm_out(projector.core.out(mixed))
    torch.testing.assert_close(projector(clip).embeddings, expected, rtol=1e-5, atol=1e-6)


def test_an_expert_that_is_off_is_replaced_by_the_next_best() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]])
    found = changed(logits, 2, Rerouting(off=(0,)))
    assert found.experts.tolist() == [[1, 2], [3, 2]]
    torch.testing.assert_close(found.gates[0], torch.tensor([2.0, 1.0]).softmax(0))
    assert found.probabilities[:, 0].tolist() == [0, 0]
    assert logits[0, 0] == 3


def test_forced_routing_is_even_or_one_expert_further() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    even = changed(logits, 2, Rerouting(forced="even"))
    assert even.experts.tolist() == [[0, 1, 2, 3]]
    assert even.gates.tolist() == [[0.25] * 4]
    assert changed(logits, 2, Rerouting(forced="shifted")).experts.tolist() == [[1, 2]]


def test_a_change_that_changes_nothing_gives_the_same_embeddings() -> None:
    projector, (clip,) = made(MOE), frames(9)
    plain = projector(clip).embeddings
    assert torch.equal(rerouted(projector, Rerouting())(clip).embeddings, plain)
    for change in (Rerouting(off=(1,)), Rerouting(without_shared=True), Rerouting(forced="even")):
        assert not torch.equal(rerouted(projector, change)(clip).embeddings, plain)
    assert torch.equal(projector(clip).embeddings, plain)


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (DENSE, Rerouting(off=(0,)), "a dense projector has no routed experts"),
        (MOE, Rerouting(off=(5,)), "there is no expert 5: they are 0 to 4"),
        (MOE, Rerouting(off=(0, 1, 2, 3)), "2 experts a token are needed, but 4 are off"),
        (
            MOE.model_copy(update={"num_shared_experts": 0}),
            Rerouting(without_shared=True),
            "no shared expert that could be switched off",
        ),
    ],
)
def test_what_cannot_be_switched_off(config: ProjectorConfig, change: Rerouting, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rerouted(made(config), change)


def test_every_change_is_a_model_of_its_own() -> None:
    info = ModelInfo("moe", "0" * 64, "cpu", "float32")
    changes = [Rerouting(off=(e,)) for e in range(3)] + [
        Rerouting(without_shared=True),
        Rerouting(forced="even"),
    ]
    found = [renamed(info, change) for change in changes]
    assert [one.name for one in found][:1] == ["moe-without-0"]
    assert len({one.name for one in found} | {one.fingerprint for one in found}) == 10


@pytest.mark.parametrize("config", [MOE, DENSE, LINEAR], ids=lambda c: c.kind)
@pytest.mark.parametrize("tokens", [1, 37])
def test_torchs_counter_and_the_formula_agree_on_every_operation(
    config: ProjectorConfig, tokens: int
) -> None:
    with FlopCounterMode(display=False) as counter:
        cost.LoneProjector(made(config)).run_projector(tokens)
    assert counter.get_total_flops() == tokens * cost.flops(config)


def test_at_the_papers_scale_arms_keep_their_proportions() -> None:
    mini = ProjectorConfig(kind="moe")
    found = cost.paper_scale(mini)
    assert (found.input_width, found.llm_width) == (5120, 2048)
    assert (found.expert_width, found.moe_width, found.hidden_width) == (140, 960, 1280)
    assert cost.projector_cost(mini).tokens_per_second == 12.5


@dataclass(frozen=True)
class Payload:
    segments: tuple[Segment, ...]


class Letters:
    """A tokenizer whose tokens are letters."""

    def convert_tokens_to_ids(self, token: str) -> int:
        assert token == "<|im_end|>"
        return 39

    def __call__(self, text: str, add_special_tokens: bool) -> Any:
        return type("Encoding", (), {"input_ids": [ord(letter) % 39 for letter in text]})


@pytest.fixture(scope="module")
def llm() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=40, num_hidden_layers=2, initializer_range=0.3, **sizes)
    ).requires_grad_(False)


def supervised(*answers: str) -> list[Supervised]:
    payload = Payload((Segment(tokens=(1, 2)), Segment(audio=0), Segment(tokens=(7,))))
    request = Request("a", (), (None,))  # type: ignore[arg-type]
    return [Supervised(Prepared(request, payload, 1), answer, closed=True) for answer in answers]


@pytest.mark.parametrize("config", [MOE, DENSE], ids=lambda c: c.kind)
def test_gradients_are_those_of_finite_differences(llm: Any, config: ProjectorConfig) -> None:
    """The loss along the gradient, in double precision, falls as fast as its squared norm says."""
    model, projector = llm.double(), made(config).double()
    batch, clips = supervised("yes", "no"), [clip.double() for clip in frames(3, 5)]
    found = backward.gradients(model, Letters(), projector, batch, clips)
    before = backward.loss(model, Letters(), projector, batch, clips, None)
    norm = sum(float((part.astype(np.float64) ** 2).sum()) for part in found.values())
    size = 1e-3 / norm**0.5
    step = {part: -size * gradient for part, gradient in found.items()}
    after = backward.loss(model, Letters(), projector, batch, clips, step)
    assert (before - after) / size == pytest.approx(norm, rel=0.02)
    assert backward.loss(model, Letters(), projector, batch, clips, None) == before
    assert not any(parameter.requires_grad for parameter in projector.parameters())
    llm.float()


def test_a_gradient_has_a_part_for_every_expert_and_holds_every_weight(llm: Any) -> None:
    projector = made(MOE)
    found = backward.gradients(llm, Letters(), projector, supervised("yes"), frames(1))
    experts = {f"expert {e}" for e in range(5)}
    assert found.keys() == experts | {"shared expert 0", "router", "out", "norms"}
    assert sum(len(part) for part in found.values()) == sum(p.numel() for p in projector.parameters())
    routing = projector(frames(1)[0]).routing
    assert routing is not None
    silent = {f"expert {e}" for e in range(5) if e not in routing.experts}
    assert {part for part, gradient in found.items() if not gradient.any()} == silent


def test_a_step_moves_the_part_that_it_names_and_no_other(llm: Any) -> None:
    projector, batch, clips = made(MOE), supervised("yes"), frames(2)
    before = backward.loss(llm, Letters(), projector, batch, clips, None)
    zeros = {part: 0 * g for part, g in backward.gradients(llm, Letters(), projector, batch, clips).items()}
    assert backward.loss(llm, Letters(), projector, batch, clips, zeros) == before
    step = {"out": zeros["out"] + 0.1}
    moved = backward.loss(llm, Letters(), projector, batch, clips, step)
    with torch.no_grad():
        for parameter in projector.core.out.parameters():
            parameter += 0.1
    assert moved == pytest.approx(backward.loss(llm, Letters(), projector, batch, clips, None))
    assert moved != before


def test_open_answers_are_learnt_as_they_are_spoken(llm: Any) -> None:
    projector, clips = made(MOE), frames(2)
    (closed,) = supervised("Yes, Sir!")
    spoken = Supervised(closed.prepared, closed.answer, closed=False)
    plain = Supervised(closed.prepared, "yes sir", closed=True)
    losses = [backward.loss(llm, Letters(), projector, [one], clips, None) for one in (closed, spoken, plain)]
    assert losses[1] == losses[2] != losses[0]
