"""Writing answers and weighing choices: the loops over the language model."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from evalkit.model import GenerationSettings
from model_adapters.audio_llm.tree import NO_OPENING, Opening, Unit, continue_from, read

# On a GPU the host looks at the tokens once in so many steps, because it must wait for them.
_STEPS_UNSEEN = 8
# In place of a token where the logits are not finite.
_BROKEN = -1

Head = tuple[Hashable, int]


@torch.inference_mode()
def decode(
    model: Any,
    prompts: Sequence[Tensor],
    settings: GenerationSettings,
    stop_tokens: Sequence[int],
    *,
    seeds: Sequence[int] = (),
    heads: Sequence[Head | None] = (),
    opening: Opening = NO_OPENING,
) -> list[list[int] | None]:
    """New tokens for each prompt [n_i, d], without the stop token; a prompt that was cut has the full count.

    None where the model's logits were NaN or infinite: what would be picked from them is no answer.
    seeds: for sampling, one for each prompt (default: that of the settings); heads: (key, length) of the
    beginning that a prompt shares with those of the same key, which is then read once; opening: what all of
    them begin with, as it was read before.
    """
    units, order = _units(prompts, heads or [None] * len(prompts), len(opening))
    hidden, cache, real = continue_from(read(model, units, opening))
    seeds = seeds or [settings.seed] * len(prompts)
    draws = _draws(settings, [seeds[index] for index in order]).to(hidden.device)
    rows = _Rows(list(range(len(order))), hidden, cache, real, draws)
    found = _write(model, rows, settings, stop_tokens)
    by_prompt = dict(zip(order, found, strict=True))
    return [by_prompt[index] for index in range(len(prompts))]


def _units(
    prompts: Sequence[Tensor], heads: Sequence[Head | None], opened: int
) -> tuple[list[Unit], list[int]]:
    """What follows the first `opened` tokens, prompts whose heads have one key as branches of a common trunk; and
    the prompts' places, leaf by leaf."""
    groups: dict[Hashable, list[int]] = {}
    for index, head in enumerate(heads):
        groups.setdefault(("alone", index) if head is None else ("shared", head), []).append(index)
    units = []
    for members in groups.values():
        first, head = prompts[members[0]], heads[members[0]]
        if head is None or len(members) == 1:
            units.append(Unit(first[opened:]))
        else:
            cut = min(head[1], *(len(prompts[i]) - 1 for i in members))
            units.append(Unit(first[opened:cut], tuple(prompts[i][cut:] for i in members)))
    return units, [index for members in groups.values() for index in members]


@dataclass(slots=True)
class _Rows:
    """The prompts still being answered, a row for each.

    index: their places in the batch; hidden: last hidden states [rows, d]; real: the positions of the cache
    that hold a token, bool [rows, n]; draws: [rows, steps].
    """

    index: list[int]
    hidden: Tensor
    cache: Any
    real: Tensor
    draws: Tensor

    def keep(self, places: Sequence[int]) -> None:
        kept = torch.tensor(places, device=self.hidden.device)
        self.cache.batch_select_indices(kept)
        self.index = [self.index[place] for place in places]
        self.real, self.draws = self.real[kept], self.draws[kept]

    def step(self, model: Any, tokens: Tensor) -> None:
        """Read one more token [rows]."""
        positions = self.real.sum(1, keepdim=True)
        self.real = torch.cat([self.real, self.real.new_ones(len(tokens), 1)], dim=1)
        output = model.model(
            inputs_embeds=model.get_input_embeddings()(tokens.clamp(min=0)[:, None]),
            attention_mask=self.real[:, None, None, :],
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.hidden = output.last_hidden_state[:, -1]


def _write(
    model: Any, rows: _Rows, settings: GenerationSettings, stop_tokens: Sequence[int]
) -> list[list[int] | None]:
    """Token by token, all rows at a time; rows that have ended leave the batch."""
    written: list[list[int] | None] = [[] for _ in rows.index]
    patience = _patience(rows.hidden.device)
    unseen: list[Tensor] = []
    for step in range(1, settings.max_new_tokens + 1):
        tokens = _choose(model.lm_head(rows.hidden), settings, rows.draws[:, step - 1])
        unseen.append(tokens)
        if step == settings.max_new_tokens or len(unseen) == patience:
            going = _collect(written, rows.index, torch.stack(unseen, dim=1).tolist(), stop_tokens)
            unseen = []
            if not going:
                break
            if len(going) < len(rows.index):
                rows.keep(going)
                tokens = tokens[going]
        if step < settings.max_new_tokens:
            rows.step(model, tokens)
    return written


def _patience(device: torch.device) -> int:
    return 1 if device.type == "cpu" else _STEPS_UNSEEN


def steps_of(written: int, longest: int, device: torch.device) -> int:
    """How many tokens are chosen for an answer of `written` tokens by itself: its end is chosen too, and on a GPU
    seen a little late."""
    return min(longest, -(-(written + 1) // _patience(device)) * _patience(device))


def _collect(
    written: list[list[int] | None],
    index: Sequence[int],
    new: Sequence[Sequence[int]],
    stop_tokens: Sequence[int],
) -> list[int]:
    """Add each row's new tokens up to the one that ends it, if any; which of the rows go on."""
    going = []
    ending = {*stop_tokens, _BROKEN}
    for place, (prompt, tokens) in enumerate(zip(index, new, strict=True)):
        end = next((at for at, token in enumerate(tokens) if token in ending), None)
        so_far = written[prompt] or []
        written[prompt] = [*so_far, *tokens[:end]]
        if end is None:
            going.append(place)
        elif tokens[end] == _BROKEN:
            written[prompt] = None
    return going


def _draws(settings: GenerationSettings, seeds: Sequence[int]) -> Tensor:
    """Numbers in [0, 1), [prompts, steps]: each prompt's own, so that no other prompt changes its answer."""
    if not settings.do_sample:
        return torch.zeros(len(seeds), 1).expand(-1, settings.max_new_tokens)
    made = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.rand(settings.max_new_tokens, generator=one) for one in made])


def _choose(logits: Tensor, settings: GenerationSettings, draws: Tensor) -> Tensor:
    """The next token of every row [n]: the likeliest, or one drawn from the smallest set that holds `top_p`
    of the probability (nucleus sampling, Holtzman et al., 2020)."""
    chosen = _drawn(logits, settings, draws) if settings.do_sample else logits.argmax(-1)
    # The search for a maximum hides what is not finite.
    return chosen.where(logits.amax(-1).isfinite(), _BROKEN)


def _drawn(logits: Tensor, settings: GenerationSettings, draws: Tensor) -> Tensor:
    likely, tokens = (logits.double() / settings.temperature).softmax(-1).sort(dim=-1, descending=True)
    before = likely.cumsum(-1) - likely
    reached = (likely * (before < settings.top_p)).cumsum(-1)
    place = torch.searchsorted(reached, draws[:, None].double() * reached[:, -1:], right=True)
    return tokens.gather(1, place.clamp(max=tokens.shape[-1] - 1))[:, 0]


@torch.inference_mode()
def choice_logprobs(
    model: Any,
    prompts: Sequence[Tensor],
    choices: Sequence[Sequence[Tensor]],
    opening: Opening = NO_OPENING,
) -> list[list[float]]:
    """Summed log-likelihood (nats) of each of its choices (token ids [m_j]) after each prompt [n_i, d].

    Prompt and choices are read in one pass: the choices are branches of the prompt. opening: what all prompts
    begin with, as it was read before.
    """
    embed = model.get_input_embeddings()
    units = [
        Unit(prompt[len(opening) :], tuple(embed(tokens[:-1]).to(prompt.dtype) for tokens in offered))
        for prompt, offered in zip(prompts, choices, strict=True)
    ]
    reading = read(model, units, opening)
    scores = []
    for unit, here, offered in zip(units, reading.places, choices, strict=True):
        end = here.start + len(unit.trunk)
        width = sum(map(len, unit.branches))
        # The end of the trunk predicts every choice's first token, each branch the rest of its own.
        # In fp32 whatever the head is in: bf16 knows a log-likelihood to three digits.
        logits = model.lm_head(reading.hidden[here.row, end - 1 : end + width]).float()
        spread = logits.logsumexp(-1)
        found = []
        for start, tokens in zip(here.branches, offered, strict=True):
            first = start - end + 1
            at = torch.tensor([0, *range(first, first + len(tokens) - 1)], device=logits.device)[
                : len(tokens)
            ]
            found.append((logits[at, tokens] - spread[at]).sum())
        scores.append(torch.stack(found).tolist())
    return scores
