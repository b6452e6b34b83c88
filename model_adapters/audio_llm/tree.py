"""Reading prompts that begin alike in one pass, what they share once.

A unit is a trunk and the branches that follow it: one recording and five questions about it, or one prompt
and eight choices. Units stand one after the other in the rows of a batch; a mask lets a position see its own
branch and trunk alone, and every branch counts its positions from the end of the trunk. So each position gets
what it would get in a sequence of its own. All units may stand behind one opening, a system message for
example, that was read before and is kept as keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """trunk: input embeddings [t, d], t > 0; branches: [m_j, d] each, possibly empty ones."""

    trunk: Tensor
    branches: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.trunk) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a unit stands: its row, the position of its trunk, and the first position of each branch."""

    row: int
    start: int
    branches: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """Keys and values [1, heads, p, d] of every layer after the tokens that prompts begin with."""

    tokens: tuple[int, ...] = ()
    layers: tuple[tuple[Tensor, Tensor], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)


NO_OPENING = Opening()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """hidden: last hidden states [rows, n, d]; cache: the key-value cache over the same positions, behind the
    `opened` ones of the opening."""

    units: Sequence[Unit]
    places: Sequence[Place]
    hidden: Tensor
    cache: Any
    opened: int = 0


@torch.inference_mode()
def read_opening(model: Any, tokens: Sequence[int]) -> Opening:
    """Read the tokens that prompts begin with, once for all of them."""
    embed = model.get_input_embeddings()
    inputs = embed(torch.tensor([tokens], device=embed.weight.device))
    cache = model.model(inputs_embeds=inputs, use_cache=True).past_key_values
    return Opening(tuple(tokens), tuple((layer.keys, layer.values) for layer in cache.layers))


def read(model: Any, units: Sequence[Unit], opening: Opening = NO_OPENING) -> Reading:
    """One forward pass over all units, which follow the opening. `model` is a causal language model of
    transformers."""
    places = place([len(unit) for unit in units], [[len(b) for b in unit.branches] for unit in units])
    first = units[0].trunk
    rows = 1 + max(one.row for one in places)
    width = max(one.start + len(unit) for one, unit in zip(places, units, strict=True))
    batch = first.new_zeros(rows, width, first.shape[1])
    owner = torch.full((rows, width), -1)  # the unit of a position, -1 for padding
    branch = torch.zeros(rows, width, dtype=torch.long)  # 0 for a trunk
    positions = torch.zeros(rows, width, dtype=torch.long)
    for index, (unit, here) in enumerate(zip(units, places, strict=True)):
        trunk = len(unit.trunk)
        spans = [(here.start, unit.trunk, 0)]
        spans += [(s, b, trunk) for s, b in zip(here.branches, unit.branches, strict=True)]
        for number, (start, embeddings, offset) in enumerate(spans):
            span = slice(start, start + len(embeddings))
            batch[here.row, span] = embeddings
            owner[here.row, span] = index
            branch[here.row, span] = number
            ahead = len(opening) + offset
            positions[here.row, span] = torch.arange(ahead, ahead + len(embeddings))
    # Plain rows of one length need no mask, which for a long recording would be large.
    plain = rows == len(units) and bool((owner >= 0).all()) and not branch.any()
    output = model.model(
        inputs_embeds=batch,
        attention_mask=None if plain else _mask(owner, branch, len(opening)).to(batch.device),
        position_ids=None if plain else positions.to(batch.device),
        past_key_values=_cache(opening, rows),
        use_cache=True,
    )
    return Reading(units, places, output.last_hidden_state, output.past_key_values, len(opening))


def _cache(opening: Opening, rows: int) -> Any:
    """The opening in front of every row; None for no opening."""
    if not opening.layers:
        return None
    from transformers import DynamicCache

    cache = DynamicCache()
    for index, (keys, values) in enumerate(opening.layers):
        cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), index)
    return cache


def place(lengths: Sequence[int], branches: Sequence[Sequence[int]]) -> list[Place]:
    """Units into rows no longer than the longest unit, longest first, each where it fits first."""
    capacity = max(lengths)
    filled: list[int] = []
    found: dict[int, Place] = {}
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, used in enumerate(filled) if used + lengths[index] <= capacity), len(filled))
        if row == len(filled):
            filled.append(0)
        start = filled[row]
        filled[row] += lengths[index]
        ahead = start + lengths[index] - sum(branches[index])
        starts = []
        for length in branches[index]:
            starts.append(ahead)
            ahead += length
        found[index] = Place(row, start, tuple(starts))
    return [found[index] for index in range(len(lengths))]


def _mask(owner: Tensor, branch: Tensor, opened: int) -> Tensor:
    """What each position may look at, bool [rows, 1, n, opened + n]; padding sees padding, so that no row is
    empty, and everything sees the opening."""
    rows, n = owner.shape
    same = owner[:, :, None] == owner[:, None, :]
    within = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    own = same & within & torch.ones(n, n, dtype=torch.bool).tril()
    return torch.cat([own.new_ones(rows, n, opened), own], dim=2)[:, None]


def continue_from(reading: Reading) -> tuple[Tensor, Any, Tensor]:
    """Every leaf (branch, or trunk without branches), in order, as a sequence of its own.

    Returns the hidden state at each one's end [leaves, d], the cache with a row for each, padded on the
    right, and which of its positions are real, bool [leaves, n].
    """
    opening = list(range(reading.opened))
    paths = [
        (row, [*opening, *(reading.opened + at for at in positions)])
        for unit, here in zip(reading.units, reading.places, strict=True)
        for row, positions in _paths(unit, here)
    ]
    rows = torch.tensor([row for row, _ in paths])
    width = max(len(columns) for _, columns in paths)
    columns = torch.zeros(len(paths), width, dtype=torch.long)
    real = torch.zeros(len(paths), width, dtype=torch.bool)
    for index, (_, path) in enumerate(paths):
        columns[index, : len(path)] = torch.tensor(path)
        real[index, : len(path)] = True
    device = reading.hidden.device
    rows, columns, real = rows.to(device), columns.to(device), real.to(device)
    last = columns.gather(1, real.sum(1, keepdim=True) - 1)[:, 0] - reading.opened
    for layer in reading.cache.layers:
        layer.keys = _picked(layer.keys, rows, columns)
        layer.values = _picked(layer.values, rows, columns)
    return reading.hidden[rows, last], reading.cache, real


def _paths(unit: Unit, here: Place) -> list[tuple[int, list[int]]]:
    """(row, positions) of every leaf of a unit."""
    trunk = list(range(here.start, here.start + len(unit.trunk)))
    if not unit.branches:
        return [(here.row, trunk)]
    return [
        (here.row, [*trunk, *range(start, start + len(branch))])
        for start, branch in zip(here.branches, unit.branches, strict=True)
    ]


def _picked(states: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[rows, heads, n, d] -> [leaves, heads, m, d]."""
    return states.transpose(1, 2)[rows[:, None], columns].transpose(1, 2)
