"""What a row or an arm took: the model's size, its time, its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.results.record import Provenance


@dataclass(frozen=True, slots=True)
class Cost:
    """The model's size, the time of all its runs with their audio, and the machine; 0 for what is not known.

    projector_flops: floating-point operations of the projector for a second of audio, by formula;
    peak_memory: bytes, the most that any of the runs held: of the GPU where there is one, else of the process.
    """

    parameters: int
    active_parameters: int
    wall_seconds: float
    audio_seconds: float
    devices: tuple[str, ...]
    projector_flops: float = 0.0
    peak_memory: int = 0

    @property
    def times_real_time(self) -> float:
        """Seconds of audio for each second of the runs; 0 if not known."""
        return self.audio_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0


def cost_of(made: Sequence[Provenance]) -> Cost:
    """The cost of one model over its runs."""
    return Cost(
        max(one.parameters for one in made),
        max(one.active_parameters for one in made),
        sum(one.wall_seconds for one in made),
        sum(one.audio_seconds for one in made),
        tuple(sorted({one.device_name or one.device for one in made} - {""})),
        max(one.projector_flops for one in made),
        max(one.peak_memory for one in made),
    )


def count_text(count: float) -> str:
    """`156 M`, `1.2 B`: three digits at most."""
    for size, unit in ((1e12, " T"), (1e9, " B"), (1e6, " M"), (1e3, " k")):
        if count >= 0.9995 * size:
            scaled = count / size
            return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.3g}{unit}"
    return f"{count:.0f}"


def memory_text(count: float) -> str:
    """`1.21 GiB`, `870 MiB`."""
    gib = count / 2**30
    return f"{gib:.3g} GiB" if gib >= 1 else f"{count / 2**20:.0f} MiB"
