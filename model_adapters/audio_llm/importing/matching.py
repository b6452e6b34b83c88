"""Finding the one way to read units as a projector: by their shapes alone, or where the mapping file puts them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from model_adapters.audio_llm.importing.mapping import Layout, Settings
from model_adapters.audio_llm.importing.units import Unit

Kind = Literal["linear", "dense", "moe"]
Sizes = Mapping[str, int]
KINDS: tuple[Kind, ...] = ("linear", "dense", "moe")
_MOST_READINGS = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """A module of the projector. `sizes` names its dimensions: a norm (n), a matrix (in, out), experts
    (count, in, out); bias: whether it has one. A bias that the checkpoint lacks is zero."""

    name: str
    sizes: tuple[str, ...]
    bias: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the checkpoint: the unit and its layout for each of the projector's modules."""

    kind: Kind
    modules: Mapping[str, tuple[Unit, Layout]]
    sizes: Sizes


NORM_IN = Slot("norm_in", ("d",))
NORM_OUT = Slot("norm_out", ("llm",), bias=False)
_CORES: Mapping[Kind, tuple[Slot, ...]] = {
    "linear": (Slot("core", ("d", "llm")),),
    "dense": (Slot("core.up", ("d", "h")), Slot("core.down", ("h", "llm"))),
    "moe": (
        Slot("core.router", ("d", "experts"), bias=False),
        Slot("core.experts.up", ("experts", "d", "e")),
        Slot("core.experts.down", ("experts", "e", "m")),
    ),
}
_SHARED = (Slot("core.shared.up", ("shared", "d", "e")), Slot("core.shared.down", ("shared", "e", "m")))
_OUT = Slot("core.out", ("m", "llm"))


def read_as_projector(units: Sequence[Unit], settings: Settings) -> Reading:
    """The only reading there is. Raises ValueError when there is none, or more than one."""
    readings = _readings(units, settings)
    if not readings:  # some libraries store nn.Linear's matrix the other way round
        turned = [unit if unit.fixed else replace(unit, layouts=("out_in", "in_out")) for unit in units]
        readings = _readings(turned, settings)
    if not readings:
        raise ValueError(_impossible(units, settings))
    if len(readings) > 1:
        raise ValueError(_ambiguous(readings))
    return readings[0]


def _readings(units: Sequence[Unit], settings: Settings) -> list[Reading]:
    kinds = (settings.kind,) if settings.kind else KINDS
    found = (
        Reading(kind, modules, sizes)
        for kind in kinds
        for slots in _variants(kind, len(units))
        for modules, sizes in _assign(slots, units, {})
        if _belongs_together(modules)
    )
    return list(itertools.islice(found, _MOST_READINGS))


def _variants(kind: Kind, count: int) -> Iterator[tuple[Slot, ...]]:
    """The modules with and without the optional ones, as many as there are units."""
    shared = ((), _SHARED) if kind == "moe" else ((),)
    out = ((), (_OUT,)) if kind == "moe" else ((),)
    for parts in itertools.product(((), (NORM_IN,)), (_CORES[kind],), shared, out, ((), (NORM_OUT,))):
        slots = tuple(itertools.chain.from_iterable(parts))
        if len(slots) == count:
            # Without W_P the experts speak to the LLM themselves.
            yield slots if parts[3] or kind != "moe" else tuple(_without_out(slot) for slot in slots)


def _without_out(slot: Slot) -> Slot:
    return replace(slot, sizes=tuple("llm" if size == "m" else size for size in slot.sizes))


def _assign(
    slots: Sequence[Slot], units: Sequence[Unit], sizes: Sizes
) -> Iterator[tuple[dict[str, tuple[Unit, Layout]], Sizes]]:
    if not slots:
        yield {}, sizes
        return
    slot, rest = slots[0], slots[1:]
    for index, unit in enumerate(units):
        for layout in unit.layouts if unit.weight.ndim > 1 else unit.layouts[:1]:
            bound = _fit(slot, unit, layout, sizes)
            if bound is None:
                continue
            others = [*units[:index], *units[index + 1 :]]
            for modules, found in _assign(rest, others, bound):
                yield {slot.name: (unit, layout), **modules}, found


def _fit(slot: Slot, unit: Unit, layout: Layout, sizes: Sizes) -> Sizes | None:
    """The sizes known so far with those that the unit adds, None if it cannot be this module."""
    if unit.place and unit.place != slot.name:
        return None
    shape = tuple(unit.weight.shape)
    if len(slot.sizes) == 3 and len(shape) == 2 and slot in _SHARED_ANY:
        shape = (1, *shape)
    if len(shape) != len(slot.sizes) or not _bias_fits(slot, unit):
        return None
    if len(shape) > 1 and layout == "out_in":
        shape = (*shape[:-2], shape[-1], shape[-2])
    bound = dict(sizes)
    for name, size in zip(slot.sizes, shape, strict=True):
        if size == 0 or bound.setdefault(name, size) != size:
            return None
    return bound if unit.bias is None or _bias_shape(unit, shape) == tuple(unit.bias.shape) else None


def _bias_shape(unit: Unit, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of a weight whose shape is (..., in, out), or (n) for a norm."""
    out = shape[-1:]
    return out if unit.weight.ndim < 3 else (shape[0], *out)


def _bias_fits(slot: Slot, unit: Unit) -> bool:
    if unit.bias is not None:
        return slot.bias
    # A norm without bias may be an RMSNorm: only the mapping file can say that it is a LayerNorm.
    return slot is not NORM_IN or bool(unit.place)


def _belongs_together(modules: Mapping[str, tuple[Unit, Layout]]) -> bool:
    """The two matrices of an expert come from one place and are stored alike."""
    for pair in (("core.experts.up", "core.experts.down"), ("core.shared.up", "core.shared.down")):
        if pair[0] not in modules:
            continue
        (up, up_layout), (down, down_layout) = (modules[name] for name in pair)
        if up_layout != down_layout and not (up.fixed and down.fixed):
            return False
        if _home(up) != _home(down) and not (up.place or down.place):
            return False
    return True


def _home(unit: Unit) -> str:
    """The family of a numbered expert is all that stands before its number."""
    return unit.key.partition("{expert}")[0] if "{expert}" in unit.key else unit.family


_SHARED_ANY = (*_SHARED, *(_without_out(slot) for slot in _SHARED))


def _impossible(units: Sequence[Unit], settings: Settings) -> str:
    kind = f"a {settings.kind}" if settings.kind else "a linear, dense or MoE"
    shown = "; ".join(unit.described for unit in units[:16])
    more = f" and {len(units) - 16} more" if len(units) > 16 else ""
    return (
        f"the checkpoint cannot be read as {kind} projector. It holds: {shown}{more}. A projector here has two "
        "matrices per expert, a router without bias, LayerNorm (weight and bias) before and RMSNorm (weight alone) "
        "after its core, and nothing else. Give a mapping file: `prefix: adapter.` leaves out what is not below "
        "that name, lines such as `core.up.weight: their.key` say what is what"
    )


def _ambiguous(readings: Sequence[Reading]) -> str:
    options: dict[str, dict[str, None]] = {}
    for reading in readings:
        for name, (unit, layout) in reading.modules.items():
            stored = f" stored as {layout}" if unit.weight.ndim > 1 else ""
            options.setdefault(name, {})[f"{unit.described}{stored}"] = None
    kinds = dict.fromkeys(reading.kind for reading in readings)
    doubts = [f"{name} can be {' or '.join(found)}" for name, found in options.items() if len(found) > 1]
    if len(kinds) > 1:
        doubts.insert(0, f"it can be {' or '.join(kinds)} (`kind`)")
    return (
        f"the checkpoint can be read in more than one way: {'; '.join(doubts)}. Say which in a mapping file, "
        "such as `core.up.weight: their.key` or `core.experts.up: {key: their.key, layout: in_out}`"
    )
