"""`evalkit diagnose cost`: parameters, operations, latency and memory, of the projector alone and the whole model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.diagnostics.clips import Say, requests, spread_samples
from evalkit.diagnostics.report import Cell, Report, Table
from evalkit.inside import Costed
from evalkit.model import Model, Request
from evalkit.tasks.schema import Task

TOKENS = (64, 1024)
ROUNDS = 15
_SIZE = ("model", "projector", "parameters", "active", "FLOP/token, formula", "counted", "MFLOP/audio s")
_TIME = ("model", "tokens", "audio s", "ms", "low", "high", "tokens/s", "times the first")
_WHOLE = (
    *("model", "parameters", "active", "weights MiB", "extra MiB", "GFLOP/audio s"),
    *("first token ms", "tokens/s", "times real time", "joules/audio s"),
)
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of every round; all models take their turn in a round, so that a busy moment is shared."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))

    def bounds(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of the median from the binomial order statistics (Conover 1999, section 3.2)."""
        from scipy.stats import binom

        ordered = sorted(self.rounds)
        below = int(binom.ppf((1 - level) / 2, len(ordered), 0.5))
        return ordered[max(0, below - 1)], ordered[min(len(ordered) - 1, len(ordered) - below)]

    def ratio(self, other: Times) -> float:
        """Median over the rounds of these times over the other's."""
        return float(np.median(np.divide(self.rounds, other.rounds)))


@dataclass(frozen=True, slots=True)
class Spoken:
    """One answer to each of some requests, one at a time: sums over them.

    first: seconds to the first token, for every request; flops: for a second of the first one's audio;
    extra: peak memory beyond what was held before, MiB.
    """

    audio_seconds: float
    seconds: float
    first: tuple[float, ...]
    tokens: int
    flops: float
    extra: float | None
    joules: float | None

    @property
    def tokens_per_second(self) -> float | None:
        """After the first token; None where the answers are one token long."""
        later, spent = self.tokens - len(self.first), self.seconds - sum(self.first)
        return later / spent if later > 0 and spent > 0 else None


def diagnose_cost(
    models: Sequence[Model], tasks: Sequence[Task], limit: int, *, paper_scale: bool, say: Say
) -> Report:
    """Projectors at their own scale, or at the paper's with random weights; whole models on the tasks' clips.

    ValueError when a projector cannot be run alone.
    """
    projectors: dict[str, Costed] = {}
    for model in models:
        if not isinstance(model, Costed):
            raise ValueError(
                f"{model.info.name} has no projector that can be run alone (evalkit.inside.Costed)"
            )
        projectors[model.info.name] = model.at_paper_scale() if paper_scale else model
    alone, notes = _projector_tables(projectors, say)
    about: dict[str, Any] = {"paper_scale": paper_scale, "device": models[0].info.device, "rounds": ROUNDS}
    if paper_scale:
        widths = projectors[models[0].info.name].projector_cost().widths
        notes.append(f"random weights, {widths[0]} in, {widths[1]} out; inner widths grown with the input's")
        return Report(alone, tuple(t.name for t in alone), {}, tuple(notes), about)
    asked = [request for task in tasks for request in requests(task, spread_samples(task, limit))]
    if not any(request.audios for request in asked):
        raise ValueError("the tasks have no audio, so there is nothing to time a model on")
    whole = _model_table(models, asked, say)
    notes.append(
        "whole model: one request at a time, from decoded audio to text; the first one is not counted"
    )
    about |= {"tasks": [task.name for task in tasks], "limit": limit}
    return Report((*alone, whole), tuple(t.name for t in (*alone, whole)), {}, tuple(notes), about)


def _projector_tables(projectors: Mapping[str, Costed], say: Say) -> tuple[tuple[Table, Table], list[str]]:
    notes: list[str] = []
    rows: list[tuple[Cell, ...]] = []
    for name, projector in projectors.items():
        cost = projector.projector_cost()
        counted = counted_flops(partial(projector.run_projector, TOKENS[0])) / TOKENS[0]
        each_second = counted * cost.tokens_per_second / 1e6
        sizes = (cost.parameters, cost.active_parameters)
        rows.append((name, cost.kind, *sizes, cost.flops, round(counted), each_second))
        if counted != cost.flops:
            notes.append(f"{name}: formula ({cost.flops}) and counter ({counted:g}) disagree: trust neither")
    size = Table("projector-size", "The projector by itself", _SIZE, tuple(rows))
    rows = [row for tokens in TOKENS for row in _time_rows(projectors, tokens, say)]
    times = Table("projector-time", "Time of one pass, median of the rounds", _TIME, tuple(rows))
    return (size, times), notes


def _time_rows(projectors: Mapping[str, Costed], tokens: int, say: Say) -> Iterator[tuple[Cell, ...]]:
    runs = {name: partial(projector.run_projector, tokens) for name, projector in projectors.items()}
    found = timed(runs, say)
    first = next(iter(found.values()))
    for name, times in found.items():
        audio = tokens / projectors[name].projector_cost().tokens_per_second
        shown = tuple(1e3 * seconds for seconds in (times.median, *times.bounds()))
        yield (name, tokens, audio, *shown, tokens / times.median, times.ratio(first))


def timed(runs: Mapping[str, Callable[[], None]], say: Say, rounds: int = ROUNDS) -> dict[str, Times]:
    """Each of them once in every round, in an order that turns round, after two rounds that do not count."""
    names = list(runs)
    found: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began = time.perf_counter()
            runs[name]()
            if turn >= 2:
                found[name].append(time.perf_counter() - began)
        say(f"timing: round {turn + 1} of {rounds + 2}")
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


def counted_flops(run: Callable[[], object]) -> int:
    """Operations of the matrix products and convolutions in `run`, by torch's counter."""
    with _counter() as counter:
        run()
    return int(counter.get_total_flops())


def _counter() -> Any:
    """Torch's counter, which does not know two kernels of CPUs: attention, and linear layers that were packed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        """QK' and the weights times V: 2 products of queries x keys x width for every head."""
        batch, heads, queries, width = query
        return int(2 * batch * heads * queries * key[2] * (width + value[3]))

    def packed_linear(inputs: Any, *_: Any, out_shape: Any, **__: Any) -> int:
        return int(2 * math.prod(out_shape) * inputs[-1])

    known: dict[Any, Any] = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        known[torch.ops.mkldnn._linear_pointwise] = packed_linear
    return FlopCounterMode(display=False, custom_mapping=known)


def _model_table(models: Sequence[Model], asked: Sequence[Request], say: Say) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for model in models:
        found = spoken(model, asked, say)
        info, seconds = model.info, found.audio_seconds
        weights = info.parameters * _BYTES.get(info.dtype, 4) / 2**20
        rows.append(
            (
                info.name,
                info.parameters,
                info.active_parameters,
                weights,
                found.extra,
                found.flops / 1e9,
                1e3 * float(np.median(found.first)),
                found.tokens_per_second,
                seconds / found.seconds,
                None if found.joules is None else found.joules / seconds,
            )
        )
    return Table("model", "The whole model, one request at a time", _WHOLE, tuple(rows))


def spoken(model: Model, asked: Sequence[Request], say: Say) -> Spoken:
    """Answer every request twice, once with a single token, after a call that does not count."""
    calls = count(1)
    longest = asked[0].settings.max_new_tokens
    first, seconds, tokens, used = [], 0.0, 0, 0.0
    with peak_memory(model.info.device) as extra:
        _answer(model, asked[0], 2, next(calls))
        flops = counted_flops(lambda: _answer(model, asked[0], longest, next(calls)))
        for request in asked:
            first.append(_answer(model, request, 1, next(calls))[0])
            before = _joules()
            spent, length = _answer(model, request, request.settings.max_new_tokens, next(calls))
            used += (_joules() or 0.0) - (before or 0.0)
            seconds, tokens = seconds + spent, tokens + length
            say(f"{model.info.name}: {len(first)} of {len(asked)} requests timed")
    return Spoken(
        audio_seconds=sum(_audio_seconds(request) for request in asked),
        seconds=seconds,
        first=tuple(first),
        tokens=tokens,
        flops=flops / _audio_seconds(asked[0]),
        extra=extra[0],
        joules=None if _joules() is None else used,
    )


def _answer(model: Model, request: Request, longest: int, call: int) -> tuple[float, int]:
    """(seconds, tokens) of an answer of at most `longest` tokens.

    The samples differ a little from call to call, so that no cache of encoder states answers for the encoder.
    """
    audios = tuple(replace(a, samples=a.samples * np.float32(1 - 1e-5 * call)) for a in request.audios)
    settings = replace(request.settings, max_new_tokens=longest)
    began = time.perf_counter()
    prepared = model.prepare(replace(request, audios=audios, choices=(), settings=settings))
    (response,) = model.generate([prepared])
    return time.perf_counter() - began, response.output_tokens


def _audio_seconds(request: Request) -> float:
    return sum(audio.seconds for audio in request.audios)


@contextmanager
def peak_memory(device: str) -> Iterator[list[float | None]]:
    """A list whose one item is, afterwards, the most memory in MiB that was held beyond that of the start.

    The device's on CUDA, the process's resident memory elsewhere; None where the system does not tell.
    """
    found: list[float | None] = [None]
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found[0] = (torch.cuda.max_memory_allocated() - before) / 2**20
        return
    try:
        _CLEAR.write_text("5")
        before_kib = _resident("VmRSS")
    except OSError:
        yield found
        return
    yield found
    found[0] = (_resident("VmHWM") - before_kib) / 1024


def _resident(key: str) -> int:
    """KiB, from /proc/self/status."""
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _joules() -> float | None:
    """The processor's energy counter, where it has one that this user may read."""
    try:
        return int(_RAPL.read_text(encoding="ascii")) / 1e6
    except (OSError, ValueError):
        return None
