"""One run spread over processes that know nothing of each other but their numbers (torchrun, Slurm)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RANK, WORLD_SIZE, LOCAL_RANK = "RANK", "WORLD_SIZE", "LOCAL_RANK"


@dataclass(frozen=True, slots=True)
class Shard:
    """Every `world`-th batch of a run's plan, from the `rank`-th on."""

    rank: int
    world: int

    def folder(self, output: Path) -> Path:
        """Where this process keeps its runs; `evalkit merge` looks there."""
        return output / "shards" / f"{self.rank}-of-{self.world}"


def shard_of(environment: Mapping[str, str]) -> Shard | None:
    """The shard that RANK and WORLD_SIZE name, or None where there is but one process.

    ValueError for one without the other, and for numbers that do not fit.
    """
    named = [name for name in (RANK, WORLD_SIZE) if environment.get(name)]
    if not named:
        return None
    if len(named) == 1:
        missing = RANK if named[0] == WORLD_SIZE else WORLD_SIZE
        raise ValueError(
            f"{named[0]}={environment[named[0]]} is set but {missing} is not; set both to run a shard, or neither"
        )
    rank, world = environment[RANK], environment[WORLD_SIZE]
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world)):
        raise ValueError(
            f"RANK={rank}, WORLD_SIZE={world}: expected whole numbers, RANK from 0 to WORLD_SIZE - 1"
        )
    return Shard(int(rank), int(world)) if int(world) > 1 else None
