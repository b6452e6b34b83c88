"""What a table's daggers say: which of its models differ from a chosen one."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.leaderboard.comparison import Comparison, compare
from evalkit.leaderboard.seeds import arm_and_seed, arms_of
from evalkit.leaderboard.stored import Arm, StoredRun, by_task
from evalkit.text import unknown


def compared_with(model: str, runs: Sequence[StoredRun], *, seed: int = 0) -> Comparison:
    """`model` against every other model of `runs` that shares a task with it, real audio only.

    The training seeds of an arm are taken together under its name, as the table's means are. Raises ValueError
    for a model that has no such run, two runs of one task and seed, or where there is nothing to compare it
    with; what `compare` raises passes through.
    """
    heard = [run for run in runs if run.result.audio == "real"]
    several = arms_of(run.result.model for run in heard)
    members: dict[str, list[StoredRun]] = {}
    for run in heard:
        arm, _ = arm_and_seed(run.result.model)
        members.setdefault(arm if arm in several else run.result.model, []).append(run)
    arms = {name: by_task(own, name) for name, own in members.items()}
    if model not in arms:
        raise ValueError(f"{unknown('model', model, arms)}; daggers are set against a model of the table")
    others = [
        Arm(name, own) for name, own in arms.items() if name != model and own.keys() & arms[model].keys()
    ]
    if not others:
        raise ValueError(f"no other model of the table has a task in common with {model}")
    return compare([Arm(model, arms[model]), *others], seed=seed)
