"""Whether adding audio cost text skill: lm-eval's text tasks on one LLM in three arms, compared pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from evalkit.interop.lm_eval import run_tasks
from evalkit.model import LoadOptions

if TYPE_CHECKING:
    from evalkit.model import Card, Model
    from evalkit.stats import Interval
    from evalkit.stats.paired import PairedTest

Arm = Literal["base LLM", "without audio", "with silence"]
ARMS: tuple[Arm, ...] = ("base LLM", "without audio", "with silence")


@dataclass(frozen=True, slots=True)
class ArmValue:
    """One arm on one metric of one task: its mean, and the value of every sample by its place in the task."""

    task: str
    metric: str
    arm: Arm
    value: float
    samples: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """One arm minus another on the same samples, with its bootstrap interval and exact or randomised test."""

    task: str
    metric: str
    first: Arm
    second: Arm
    n: int
    interval: Interval
    test: PairedTest


def text_arms(
    card: Card, options: LoadOptions, tasks: Sequence[str], *, limit: int | None, include: Sequence[Path] = ()
) -> list[ArmValue]:
    """Run lm-eval's tasks on the LLM inside `card`, in three arms on the same samples.

    base LLM: the LLM as it was before it was tuned; without audio: the audio LLM, asked by text alone;
    with silence: the same with a second of silence before the text. Raises ValueError for an unknown task,
    or for a model whose loader cannot give its base LLM (`--model-args lora=off`).
    """
    from evalkit.cards import load_model

    values: list[ArmValue] = []
    base = LoadOptions(options.device, options.dtype, options.backbone, options.seed, {"lora": "off"})
    models: dict[bool, Model] = {}
    for arm in ARMS:
        tuned = arm != "base LLM"
        if tuned not in models:
            models = {tuned: load_model(card, options if tuned else base)}
        audio = "silence" if arm == "with silence" else "none"
        samples = run_tasks(models[tuned], audio, tasks, limit=limit, include=include)
        values.extend(value for task in samples for value in _arm_values(task, arm, samples[task]))
    return values


def differences(values: Sequence[ArmValue], *, seed: int) -> list[ArmDifference]:
    """For every task and metric: what tuning cost, what silence costs on top, and both together."""
    by_key = {(value.task, value.metric, value.arm): value for value in values}
    pairs: tuple[tuple[Arm, Arm], ...] = (
        ("without audio", "base LLM"),
        ("with silence", "without audio"),
        ("with silence", "base LLM"),
    )
    found = []
    for task, metric in dict.fromkeys((value.task, value.metric) for value in values):
        for first, second in pairs:
            one, two = by_key[task, metric, first], by_key[task, metric, second]
            found.append(_difference(one, two, seed))
    return found


def _difference(one: ArmValue, two: ArmValue, seed: int) -> ArmDifference:
    import numpy as np

    from evalkit import metrics
    from evalkit.stats import mcnemar, paired_interval, randomisation

    if one.samples.keys() != two.samples.keys():
        raise ValueError(f"{one.task}: the arms answered different samples")
    order = sorted(one.samples)
    first = np.array([[one.samples[index]] for index in order], dtype=np.float64)
    second = np.array([[two.samples[index]] for index in order], dtype=np.float64)
    mean = metrics.get("accuracy", {}).fit([["x"]] * len(order))
    interval = paired_interval(mean, first, second, None, seed=seed)
    plain = np.isin(np.concatenate([first, second]), (0.0, 1.0)).all()
    test = (
        mcnemar(first[:, 0], second[:, 0]) if plain else randomisation(mean, first, second, None, seed=seed)
    )
    return ArmDifference(one.task, one.metric, one.arm, two.arm, len(order), interval, test)


def _arm_values(task: str, arm: Arm, samples: Sequence[Mapping[str, Any]]) -> list[ArmValue]:
    """One for each metric of the first filter that has a number for every sample."""
    chains = list(dict.fromkeys(sample["filter"] for sample in samples))
    first = [sample for sample in samples if sample["filter"] == chains[0]]
    values = []
    for metric in first[0]["metrics"]:
        numbers = {int(sample["doc_id"]): sample[metric] for sample in first}
        if all(isinstance(number, int | float) for number in numbers.values()):
            mean = sum(numbers.values()) / len(numbers)
            values.append(ArmValue(task, metric, arm, mean, numbers))
    return values
