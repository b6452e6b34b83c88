"""A checkpoint's tensors as units: a weight with its bias, the weights of numbered experts stacked."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from model_adapters.audio_llm.importing.mapping import EXPERT, TENSORS, Layout, Origin, Settings

_BOTH: tuple[Layout, ...] = ("out_in", "in_out")
_LINEAR: tuple[Layout, ...] = ("out_in",)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """weight: of a norm [n], a matrix [a, b] or stacked experts [experts, a, b]; bias: one dimension less.

    key, bias_key: their names, `{expert}` for the numbers of stacked ones; family: what stands before the
    last part of the name, equal for the matrices of one expert; layouts: how the weight may be stored, by
    convention or (fixed) by the mapping file; place: the projector's module that the mapping file gives it to.
    """

    key: str
    weight: Tensor
    layouts: tuple[Layout, ...]
    family: str
    bias_key: str = ""
    bias: Tensor | None = None
    place: str = ""
    fixed: bool = False

    @property
    def described(self) -> str:
        bias = f", bias {list(self.bias.shape)}" if self.bias is not None else ""
        return f"{self.key} {list(self.weight.shape)}{bias}"


def collect(tensors: Mapping[str, Tensor], settings: Settings) -> list[Unit]:
    """Every tensor in exactly one unit, those of the mapping file first. Raises ValueError."""
    left = _stack_experts(dict(tensors))
    return _placed(left, settings) + _found(left)


def _placed(left: dict[str, Tensor], settings: Settings) -> list[Unit]:
    """The units that the mapping file names; their tensors are taken out of `left`."""
    parts: dict[str, dict[str, Origin]] = defaultdict(dict)
    for ours, origin in settings.tensors.items():
        place, part = TENSORS[ours]
        parts[place][part] = origin
    units = []
    used: set[str] = set()
    for place, origins in parts.items():
        if "weight" not in origins:
            raise ValueError(f"the mapping file names a bias for {place} but not its weight")
        weight_origin, bias_origin = origins["weight"], origins.get("bias")
        weight, used_weight = _take(left, weight_origin.key)
        key, layout = weight_origin.key, weight_origin.layout
        bias_key = bias_origin.key if bias_origin else _own_bias(left, key)
        bias, used_bias = _take(left, bias_key) if bias_key else (None, set())
        used |= used_weight | used_bias
        layouts = (layout,) if layout else _layouts(key, weight)
        units.append(Unit(key, weight, layouts, "", bias_key, bias, place, fixed=layout is not None))
    for key in used:
        del left[key]
    return units


def _own_bias(tensors: Mapping[str, Tensor], weight: str) -> str:
    """The name of the bias that belongs to a weight (of every expert, where it has `{expert}`), "" for none."""
    first = weight if weight in tensors else weight.replace(EXPERT, "0", 1)
    bias = next((name for name in tensors if _bias_of(name, tensors) == first), "")
    if not bias or first == weight:
        return bias
    start = weight.partition(EXPERT)[0]
    return f"{start}{EXPERT}{bias.removeprefix(f'{start}0')}"


def _take(tensors: Mapping[str, Tensor], key: str) -> tuple[Tensor, set[str]]:
    if key in tensors:
        return tensors[key], {key}
    if EXPERT not in key:
        near = difflib.get_close_matches(key, tensors, n=3, cutoff=0.4)
        raise ValueError(
            f"the mapping file names {key!r}, which the checkpoint does not have; nearest: {', '.join(near) or '-'}"
        )
    pattern = re.compile(re.escape(key).replace(re.escape(EXPERT), r"(\d+)", 1))
    members = {int(found[1]): name for name in tensors if (found := pattern.fullmatch(name))}
    if not members or sorted(members) != list(range(len(members))):
        raise ValueError(
            f"the mapping file names {key!r}; the checkpoint has it for {sorted(members) or 'no expert'}"
        )
    return _stacked([tensors[members[i]] for i in range(len(members))], key), set(members.values())


def _stacked(tensors: list[Tensor], key: str) -> Tensor:
    shapes = [list(tensor.shape) for tensor in tensors]
    odd = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
    if odd:
        raise ValueError(
            f"{key} has shape {shapes[0]} for expert 0 but {shapes[odd]} for expert {odd}: experts must be alike"
        )
    return torch.stack(tensors)


def _stack_experts(left: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keys that differ only by one number become one, with `{expert}` in its place.

    A family counts as experts when its numbers run from 0 without a gap, are the same for every part, and
    each member has at least two matrices; the outermost such number is taken.
    """
    parts: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    for key in left:
        words = key.split(".")
        for place, word in enumerate(words):
            if word.isdecimal() and word.isascii():
                prefix, suffix = ".".join(words[:place]), ".".join(words[place + 1 :])
                parts[prefix][suffix][int(word)] = key
    for prefix in sorted(parts, key=lambda p: (p.count("."), p)):
        members = parts[prefix]
        if not _are_experts(members, left):
            continue
        for suffix, keys in members.items():
            name = ".".join(word for word in (prefix, EXPERT, suffix) if word)
            left[name] = _stacked([left.pop(keys[i]) for i in range(len(keys))], name)
    return left


def _are_experts(members: Mapping[str, Mapping[int, str]], left: Mapping[str, Tensor]) -> bool:
    numbers = {frozenset(keys) for keys in members.values()}
    if len(numbers) != 1 or not all(key in left for keys in members.values() for key in keys.values()):
        return False
    (found,) = numbers
    matrices = sum(left[keys[min(keys)]].ndim == 2 for keys in members.values())
    return len(found) > 1 and found == frozenset(range(len(found))) and matrices >= 2


def _found(tensors: Mapping[str, Tensor]) -> list[Unit]:
    biases = {name: key for key in tensors if (name := _bias_of(key, tensors))}
    units = []
    for key, weight in tensors.items():
        if key in biases.values():
            continue
        family = key.removesuffix(".weight").rpartition(".")[0]
        if "bias" in _last(key):  # without a weight: it fits nowhere
            units.append(Unit(key, weight, (), family, fixed=True))
        elif key in biases:
            units.append(Unit(key, weight, _layouts(key, weight), family, biases[key], tensors[biases[key]]))
        else:
            units.append(Unit(key, weight, _layouts(key, weight), family))
    return units


def _layouts(key: str, weight: Tensor) -> tuple[Layout, ...]:
    """nn.Linear stores [out, in]; a bare parameter and a stacked one may be either."""
    linear = _last(key) == "weight" and (weight.ndim == 2 or EXPERT in key)
    return _LINEAR if linear else _BOTH


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _bias_of(key: str, tensors: Mapping[str, Tensor]) -> str:
    """The name of the weight whose bias `key` is, "" for none."""
    for weight in _weight_names(key):
        if (
            weight != key
            and weight in tensors
            and tensors[weight].ndim == tensors[key].ndim + (tensors[weight].ndim > 1)
        ):
            return weight
    return ""


def _weight_names(bias: str) -> Iterable[str]:
    """`x.bias` or `x_bias` belongs to `x.weight`, `x_weight` or `x`; `b1` and `b_up` to `w1` and `w_up`."""
    home, _, last = bias.rpartition(".")
    home = home and f"{home}."
    if "bias" in last:
        for weight in ("weight", "kernel"):
            yield home + last.replace("bias", weight)
        yield bias.removesuffix("bias").rstrip("._")
    elif last.startswith("b"):
        yield f"{home}w{last[1:]}"
        yield f"{home}W{last[1:]}"
