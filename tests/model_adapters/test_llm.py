"""Decoding and scoring against transformers, on the real language model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tiny_llama import tiny_llama
from torch import Tensor

from evalkit.model import GenerationSettings
from model_adapters.audio_llm import decoding
from model_adapters.audio_llm.decoding import choice_logprobs, decode
from model_adapters.audio_llm.llm import embedding_norm, load_llm

QUESTIONS = [
    "What is the capital of France?",
    "Name a colour.",
    "Write one short sentence about a dog that sleeps in the sun all day long.",
    "Hi",
    "Count from one to five.",
    "Which animal says moo?",
    "Say hello in Spanish.",
    "What is two plus two?",
]
GREEDY = GenerationSettings(max_new_tokens=8)


@pytest.fixture(scope="module")
def prompts(smollm: tuple[Any, Any]) -> list[list[int]]:
    tokenizer = smollm[1]
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [
        tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        for chat in chats
    ]


@pytest.fixture(scope="module")
def embedded(smollm: tuple[Any, Any], prompts: list[list[int]]) -> list[Tensor]:
    embed = smollm[0].get_input_embeddings()
    return [embed(torch.tensor(prompt)) for prompt in prompts]


@pytest.fixture(scope="module")
def end(smollm: tuple[Any, Any]) -> int:
    return int(smollm[1].convert_tokens_to_ids("<|im_end|>"))


def test_the_fp32_head_changes_no_logit(
    smollm: tuple[Any, Any], prompts: list[list[int]], backbone: Any
) -> None:
    from transformers import AutoModelForCausalLM

    official = AutoModelForCausalLM.from_pretrained(backbone.llm, dtype=torch.float32).eval()
    ids = torch.tensor([prompts[0]])
    with torch.inference_mode():
        torch.testing.assert_close(smollm[0](ids).logits, official(ids).logits, rtol=0, atol=1e-4)


def test_decoding_from_embeddings_gives_what_generate_gives_from_token_ids(
    smollm: tuple[Any, Any], prompts: list[list[int]], embedded: list[Tensor], end: int
) -> None:
    model = smollm[0]
    for prompt, embeddings in zip(prompts[:3], embedded[:3], strict=True):
        ids = torch.tensor([prompt])
        official = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, eos_token_id=end
        )[0, len(prompt) :].tolist()
        expected = official[: official.index(end)] if end in official else official
        assert decode(model, [embeddings], GREEDY, [end]) == [expected]


def test_a_batch_of_eight_decodes_as_one_by_one(
    smollm: tuple[Any, Any], embedded: list[Tensor], end: int
) -> None:
    model = smollm[0]
    together = decode(model, embedded, GREEDY, [end])
    assert together == [decode(model, [one], GREEDY, [end])[0] for one in embedded]
    lengths = {len(tokens) for tokens in together}
    assert 8 in lengths
    assert min(lengths) < 8
    assert all(end not in tokens for tokens in together)


def test_sampling_depends_on_the_seed_alone(
    smollm: tuple[Any, Any], embedded: list[Tensor], end: int
) -> None:
    def sampled(seed: int) -> list[list[int]]:
        settings = GenerationSettings(max_new_tokens=4, do_sample=True, temperature=1.5, seed=seed)
        return decode(smollm[0], embedded[:2], settings, [end])

    assert sampled(1) == sampled(1)
    assert sampled(1) != sampled(2)


def test_a_prompt_draws_the_same_tokens_whatever_is_beside_it() -> None:
    settings = GenerationSettings(max_new_tokens=12, do_sample=True, temperature=2.0, top_p=0.9)
    prompts = [torch.full((length, 32), 0.1 * length) for length in (2, 5, 3)]
    together = decode(tiny_llama(), prompts, settings, [0], seeds=[7, 8, 9])
    apart = [
        decode(tiny_llama(), [one], settings, [0], seeds=[seed])[0]
        for one, seed in zip(prompts, (7, 8, 9), strict=True)
    ]
    assert together == apart


def test_looking_at_new_tokens_once_in_eight_steps_writes_what_looking_every_time_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a GPU: rows end inside a block, at its end and not at all, and the last block is a short one."""
    model = tiny_llama()
    settings = GenerationSettings(max_new_tokens=21, do_sample=True, temperature=2.0)
    prompts = [torch.full((length, 32), 0.1 * length) for length in (2, 5, 3, 4, 1)]
    prompts.append(torch.full((3, 32), float("nan")))
    seeds = range(6)
    free = decode(model, prompts, settings, [], seeds=seeds)
    assert free[5] is None
    stops = [free[0][3], free[1][7], free[2][12]]  # type: ignore[index]

    def written() -> list[list[int] | None]:
        return decode(model, prompts, settings, stops, seeds=seeds)

    every_time = written()
    lengths = [len(tokens) for tokens in every_time if tokens is not None]
    assert any(0 < length < 7 for length in lengths)
    assert any(8 < length < 15 for length in lengths)
    assert 21 in lengths
    monkeypatch.setattr(decoding, "_patience", lambda device: 8)
    assert written() == every_time
    steps: list[int] = []
    model.lm_head.register_forward_hook(lambda *_: steps.append(1))
    for prompt, seed, tokens in zip(prompts[:5], seeds, every_time[:5], strict=False):
        steps.clear()
        assert decode(model, [prompt], settings, stops, seeds=[seed]) == [tokens]
        assert len(steps) == decoding.steps_of(len(tokens or []), 21, torch.device("cpu"))


def test_sampling_follows_the_probabilities_within_top_p() -> None:
    """Against the shares of a nucleus worked out by hand from the first step's logits."""
    model = tiny_llama()
    prompt = torch.full((2, 32), 0.5)
    settings = GenerationSettings(max_new_tokens=1, do_sample=True, temperature=0.1, top_p=0.6)
    drawn = decode(model, [prompt] * 2000, settings, [], seeds=range(2000))
    with torch.inference_mode():
        hidden = model.model(inputs_embeds=prompt[None]).last_hidden_state[0, -1]
        probabilities = (model.lm_head(hidden) / 0.1).softmax(-1)
    likely, tokens = probabilities.sort(descending=True)
    count = int((likely.cumsum(0) < 0.6).sum()) + 1
    expected = {int(t): float(p / likely[:count].sum()) for t, p in zip(tokens[:count], likely, strict=False)}
    assert count > 1
    assert {row[0] for row in drawn if row} <= expected.keys()
    for token, share in expected.items():
        assert sum(row == [token] for row in drawn) / 2000 == pytest.approx(share, abs=0.04)


def test_sampling_draws_from_every_token_that_top_p_leaves() -> None:
    """No cut to the 50 most likely tokens that nobody asked for."""
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight.mul_(1e-3)  # nearly even, but no ties
    settings = GenerationSettings(max_new_tokens=100, do_sample=True)
    rows = decode(model, [torch.zeros(1, 32)] * 16, settings, [96], seeds=range(16))
    assert len({token for row in rows for token in row}) > 80


def test_choices_are_scored_as_a_plain_pass_over_prompt_and_choice_scores_them(
    smollm: tuple[Any, Any], prompts: list[list[int]], embedded: list[Tensor]
) -> None:
    model, tokenizer = smollm
    offered = [[" Paris", "Paris is the capital.", "Lyon"], [" A big brown dog sleeps", "Red"], ["x"]]
    tokens = [
        [torch.tensor(tokenizer(choice, add_special_tokens=False).input_ids) for choice in choices]
        for choices in offered
    ]
    assert {len(choice) for choices in tokens for choice in choices} >= {1, 5}
    scores = choice_logprobs(model, embedded[:3], tokens)
    for prompt, choices, found in zip(prompts, tokens, scores, strict=False):
        for choice, score in zip(choices, found, strict=True):
            ids = torch.tensor([[*prompt, *choice.tolist()]])
            with torch.inference_mode():
                logits = model(ids).logits[0, len(prompt) - 1 : -1]
            expected = logits.log_softmax(-1).gather(1, choice[:, None]).sum().item()
            assert score == pytest.approx(expected, abs=1e-4)


def test_choices_of_eight_prompts_together_score_as_one_by_one(
    smollm: tuple[Any, Any], embedded: list[Tensor]
) -> None:
    model, tokenizer = smollm
    tokens = [[torch.tensor(tokenizer(f"{n} dogs" * (n + 1)).input_ids)] for n in range(8)]
    together = choice_logprobs(model, embedded, tokens)
    for prompt, choices, found in zip(embedded, tokens, together, strict=True):
        (alone,) = choice_logprobs(model, [prompt], [choices])
        assert found == pytest.approx(alone, abs=1e-4)


def test_a_choice_without_tokens_is_certain() -> None:
    ((empty, other),) = choice_logprobs(
        tiny_llama(), [torch.zeros(3, 32)], [[torch.zeros(0, dtype=torch.long), torch.tensor([5])]]
    )
    assert empty == 0
    assert other < 0


def test_likelihoods_add_up_to_one_also_for_a_model_and_its_head_in_bf16() -> None:
    model = tiny_llama().bfloat16()
    every_token = [torch.tensor([token]) for token in range(97)]
    (scores,) = choice_logprobs(model, [torch.full((3, 32), 0.1).bfloat16()], [every_token])
    assert sum(map(math.exp, scores)) == pytest.approx(1, abs=1e-4)


def test_what_prompts_share_is_read_once_and_changes_no_answer(
    smollm: tuple[Any, Any], embedded: list[Tensor], end: int
) -> None:
    model = smollm[0]
    clips = [
        0.05 * torch.randn(length, 576, generator=torch.Generator().manual_seed(length))
        for length in (40, 25)
    ]
    asked = [torch.cat([clips[i % 2], question]) for i, question in enumerate(embedded[:5])]
    heads = [("clip", i % 2) for i in range(5)]
    read: list[int] = []
    handle = model.model.register_forward_pre_hook(
        lambda module, args, given: read.append(given["inputs_embeds"].shape[:2].numel()), with_kwargs=True
    )
    shared = decode(model, asked, GREEDY, [end], heads=[(key, len(clips[key[1]])) for key in heads])
    handle.remove()
    assert shared == [decode(model, [one], GREEDY, [end])[0] for one in asked]
    # Rows of different length leave some padding, but less than reading a clip again would take.
    assert read[0] < sum(map(len, asked))


def test_logits_that_are_not_finite_are_no_answer(embedded: list[Tensor]) -> None:
    model = tiny_llama()
    good, bad = torch.full((3, 32), 0.1), torch.full((3, 32), float("nan"))
    answers = decode(model, [good, bad, good], GREEDY, [])
    assert answers[1] is None
    assert answers[0] == answers[2] == decode(model, [good], GREEDY, [])[0]


def test_the_embedding_norm_is_the_mean_length_of_a_token_embedding() -> None:
    model = tiny_llama()
    table = model.get_input_embeddings().weight
    assert embedding_norm(model) == pytest.approx(table.square().sum(1).sqrt().mean().item())


def test_half_precision_keeps_its_head_in_fp32(backbone: Any) -> None:
    model, _ = load_llm(backbone.llm, torch.bfloat16, torch.device("cpu"))
    assert model.lm_head.weight.dtype == torch.float32
    assert model.model.layers[0].mlp.up_proj.weight.dtype == torch.bfloat16
    assert not any(p.requires_grad for p in model.parameters())
