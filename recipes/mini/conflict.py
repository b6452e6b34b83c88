"""How far families of tasks pulled the projector apart in training: `python -m recipes.mini.conflict TRAINING`.

TRAINING is what `python -m recipes.mini.arms` wrote. The cosines of its arms' curves go to --output, one row for
a batch and a pair of families; each arm's mean over batches and pairs is printed, and what the MoE's differs by.
A seed is one value.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import fmean

from evalkit.leaderboard.seeds import arm_and_seed
from evalkit.stats.seeds import t_interval

PREFIX = "conflict_"
MOE, DENSE = "moe_adapter", ("dense_baseline", "dense_active")


@dataclass(frozen=True, slots=True)
class Cosine:
    """Of the projector's gradients of two families on one batch."""

    arm: str
    seed: int
    step: int
    pair: str
    cosine: float


def read_cosines(training: Path) -> Iterator[Cosine]:
    """Those of finished trainings: the others have seen fewer batches."""
    for curves in sorted(training.glob("*/tune.csv")):
        name = curves.parent.name
        if not (curves.parent / f"{name}.yaml").exists():
            continue
        arm, seed = arm_and_seed(name)
        with curves.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                for column, text in row.items():
                    if column.startswith(PREFIX) and text:
                        pair = column.removeprefix(PREFIX)
                        yield Cosine(arm, seed, int(row["step"]), pair, float(text))


def by_seed(cosines: Iterable[Cosine], arm: str) -> dict[int, dict[tuple[int, str], float]]:
    """Of one arm, by seed, the cosine of every (step, pair)."""
    found: dict[int, dict[tuple[int, str], float]] = {}
    for one in cosines:
        if one.arm == arm:
            found.setdefault(one.seed, {})[one.step, one.pair] = one.cosine
    return found


def differences(cosines: Sequence[Cosine], arm: str, other: str) -> list[float]:
    """`arm` minus `other`, by seed: the mean over the batches and pairs that both have. Arms of one seed see the
    same batches.
    """
    ours, theirs = by_seed(cosines, arm), by_seed(cosines, other)
    return [
        fmean(ours[seed][at] - theirs[seed][at] for at in ours[seed].keys() & theirs[seed].keys())
        for seed in sorted(ours.keys() & theirs.keys())
    ]


def _line(name: str, values: list[float]) -> str:
    found = t_interval(values)
    interval = "" if found.low is None else f" [{found.low:+.4f}, {found.high:+.4f}]"
    return f"{name}: {fmean(values):+.4f}{interval} ({len(values)} seeds)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("training", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="the CSV to write")
    arguments = parser.parse_args()
    cosines = list(read_cosines(arguments.training))
    if not cosines:
        parser.error(f"no {PREFIX}* values in {arguments.training}/*/tune.csv")
    with arguments.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Cosine)])
        writer.writerows(map(astuple, cosines))
    for arm in sorted({one.arm for one in cosines}):
        seeds = by_seed(cosines, arm).values()
        print(
            _line(arm, [fmean(seed.values()) for seed in seeds]), f"{sum(map(len, seeds))} cosines", sep=", "
        )
    for other in DENSE:
        if found := differences(cosines, MOE, other):
            print(_line(f"{MOE} minus {other}", found))


if __name__ == "__main__":
    main()
