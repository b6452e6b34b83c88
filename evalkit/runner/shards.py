"""One run spread over processes that know nothing of each other but their numbers (torchrun, Slurm)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RANK, WORLD_SIZE = "RANK", "WORLD_SIZE"
# `srun` sets both for each task. Not SLURM_NTASKS: a batch script has it too, with the SLURM_PROCID 0, and no
# task beside it.
SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `world`-th batch of a run's plan, from the `rank`-th on."""

    rank: int
    world: int

    def folder(self, output: Path) -> Path:
        """Where this process keeps its runs; `evalkit merge` looks there."""
        return output / "shards" / f"{self.rank}-of-{self.world}"


def shard_of(environment: Mapping[str, str]) -> Shard | None:
    """The shard that RANK and WORLD_SIZE name, else srun's variables, or None where there is but one process.

    ValueError for one without the other, and for numbers that do not fit.
    """
    names = (RANK, WORLD_SIZE)
    named = [name for name in names if environment.get(name)]
    if not named and all(environment.get(name) for name in SLURM):
        names = SLURM
    elif not named:
        return None
    elif len(named) == 1:
        missing = RANK if named[0] == WORLD_SIZE else WORLD_SIZE
        raise ValueError(
            f"{named[0]}={environment[named[0]]} is set but {missing} is not; set both to run a shard, or neither"
        )
    rank, world = (environment[name] for name in names)
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise ValueError(
            f"{names[0]}={rank}, {names[1]}={world}: expected whole numbers, {names[0]} from 0 to {names[1]} - 1"
        )
    return Shard(int(rank), int(world)) if int(world) > 1 else None
