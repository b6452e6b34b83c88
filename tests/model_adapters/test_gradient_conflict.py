"""Gradient conflict against gradients worked out by hand, and against one family at a time through an LLM."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.projector import Projector
from model_adapters.audio_llm.training.conflict import conflict_columns, family_conflict

MOE = ProjectorConfig(
    kind="moe",
    encoder_width=6,
    stack=1,
    llm_width=16,
    num_experts=4,
    top_k=1,
    num_shared_experts=0,
    expert_width=5,
    moe_width=7,
)
LENGTHS = (3, 1, 4, 2, 5)
FAMILIES = ("asr", "music_qa", "asr", "speaker", "music_qa")


def linear_case(directions: list[list[float]]) -> tuple[nn.Parameter, Tensor, Tensor]:
    """One token a row, e = W x, loss of row i = direction_i . e: its gradient is the outer product with x."""
    weight = nn.Parameter(torch.eye(2))
    embeddings = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 0.0]]) @ weight.T
    return weight, embeddings, (embeddings * torch.tensor(directions)).sum(1)


def test_cosines_are_those_of_gradients_worked_out_by_hand() -> None:
    weight, embeddings, losses = linear_case([[1.0, 0.0], [1.0, 0.0], [-2.0, 0.0]])
    found = family_conflict(losses, torch.arange(3), ["a", "b", "c"], embeddings, [1, 1, 1], [weight])
    # a: [1 0; 0 0], b: [3 4; 0 0], c: [-2 0; 0 0]
    assert found == pytest.approx({"conflict_a_b": 0.6, "conflict_a_c": -1.0, "conflict_b_c": -0.6})


def test_a_family_is_its_tokens_mean_over_all_its_rows() -> None:
    weight, embeddings, losses = linear_case([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = family_conflict(losses, torch.arange(3), ["a", "a", "b"], embeddings, [1, 1, 1], [weight])
    # a: ([1 0; 0 0] + [3 4; 0 0]) / 2 = [2 2; 0 0], b: [0 0; 1 0]
    assert found == pytest.approx({"conflict_a_b": 0.0})
    weight, embeddings, losses = linear_case([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    found = family_conflict(losses, torch.arange(3), ["a", "a", "b"], embeddings, [1, 1, 1], [weight])
    # a: [1 0; 3 4] / 2, b: [1 0; 1 0]
    assert found == pytest.approx({"conflict_a_b": 4 / math.sqrt(26 * 2)})


def test_no_column_where_a_cosine_does_not_exist() -> None:
    weight, embeddings, losses = linear_case([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    found = family_conflict(losses, torch.arange(3), ["a", "b", "c"], embeddings, [1, 1, 1], [weight])
    assert found == pytest.approx({"conflict_a_c": 1.0})
    assert family_conflict(losses, torch.arange(3), ["a"] * 3, embeddings, [1, 1, 1], [weight]) == {}


def test_every_pair_of_families_has_one_column_name_in_one_order() -> None:
    assert conflict_columns(["speaker", "asr", "music_qa", "asr"]) == (
        "conflict_asr_music_qa",
        "conflict_asr_speaker",
        "conflict_music_qa_speaker",
    )


@pytest.fixture(scope="module")
def llm() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=40, num_hidden_layers=2, initializer_range=0.3, **sizes)
    ).requires_grad_(False)


def forward(llm: Any, projector: Projector) -> tuple[Tensor, Tensor, Tensor]:
    """(losses, rows, embeddings) of five rows of unlike lengths, whose families alternate."""
    torch.manual_seed(1)
    embeddings = projector(torch.randn(sum(LENGTHS), 6)).embeddings
    losses, rows = [], []
    for row, audio in enumerate(embeddings.split(LENGTHS)):
        answer = torch.randint(40, (2 + row,))
        whole = torch.cat([audio, llm.get_input_embeddings()(answer)])[None]
        logits = llm(inputs_embeds=whole).logits[0, -len(answer) - 1 : -1]
        losses.append(nn.functional.cross_entropy(logits, answer, reduction="none"))
        rows += [row] * len(answer)
    return torch.cat(losses), torch.tensor(rows), embeddings


def test_one_pass_through_the_llm_gives_what_one_pass_a_family_would(llm: Any) -> None:
    torch.manual_seed(0)
    projector = Projector(MOE)
    weights = list(projector.parameters())
    losses, rows, embeddings = forward(llm, projector)
    found = family_conflict(losses, rows, FAMILIES, embeddings, LENGTHS, weights)
    alone = {}
    for family in set(FAMILIES):
        members = torch.tensor([i for i, f in enumerate(FAMILIES) if f == family])
        mean = losses[torch.isin(rows, members)].mean()
        gradients = torch.autograd.grad(mean, weights, retain_graph=True)
        alone[family] = torch.cat([g.flatten() for g in gradients])
    expected = {
        f"conflict_{a}_{b}": float(nn.functional.cosine_similarity(alone[a], alone[b], dim=0))
        for a, b in itertools.combinations(sorted(alone), 2)
    }
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert tuple(found) == conflict_columns(FAMILIES)


def test_the_training_step_goes_on_as_if_nothing_had_been_measured(llm: Any) -> None:
    gradients = []
    for measured in (False, True):
        torch.manual_seed(0)
        projector = Projector(MOE)
        losses, rows, embeddings = forward(llm, projector)
        if measured:
            family_conflict(losses, rows, FAMILIES, embeddings, LENGTHS, projector.parameters())
            assert all(p.grad is None for p in projector.parameters())
        losses.mean().backward()
        gradients.append([p.grad for p in projector.parameters()])
    assert all(torch.equal(plain, after) for plain, after in zip(*gradients, strict=True))
