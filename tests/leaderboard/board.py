"""Records for tables: four models on five tasks of four families."""

from __future__ import annotations

from evalkit.results.record import Fingerprints, MetricValue, Provenance, Result

TASKS = {
    "asr_en": ("asr", "semantic", ("wer", "cer")),
    "asr_de": ("asr", "semantic", ("wer", "cer")),
    "captions": ("captioning", "semantic", ("cider", "rouge_l")),
    "acted": ("emotion", "paralinguistic", ("accuracy", "uar")),
    "gender": ("speaker", "paralinguistic", ("accuracy",)),
}
# How good a model is, from 0 to 1, and its size.
MODELS = {"dense": (0.5, 160_000_000), "moe": (0.7, 170_000_000), "large": (0.8, 8_000_000_000)}


def value(metric: str, quality: float, spread: float = 0.05) -> MetricValue:
    rate = metric in ("wer", "cer")
    middle = 1 - quality if rate else quality
    return MetricValue(
        value=middle,
        low=middle - spread,
        high=middle + spread,
        higher_is_better=not rate,
        method="percentile bootstrap",
    )


def record(model: str, task: str, quality: float, parameters: int = 0, **changes: object) -> Result:
    family, side, metrics = TASKS[task]
    given: dict[str, object] = {
        "family": family,
        "side": side,
        "n": 100,
        "metrics": {f"{metric},none": value(metric, quality) for metric in metrics},
        "counts": {"ok": 100},
        "scoring": {"metrics": [{"metric": metric} for metric in metrics]},
        **changes,
    }
    prints = dict.fromkeys(("generation", "prompt", "settings", "data", "scoring"), "same")
    provenance = Provenance(
        evalkit="0",
        device_name="One CPU",
        dtype="float32",
        parameters=parameters,
        active_parameters=parameters,
        wall_seconds=50.0,
        audio_seconds=200.0,
    )
    return Result.model_validate(
        {
            "model": model,
            "task": task,
            "fingerprints": Fingerprints(model=model, **prints),
            "provenance": provenance,
            **given,
        }
    )


def records() -> list[Result]:
    """Every model on every task; `dense` without audio as well, and a model that knows ASR alone."""
    found = [record(model, task, *about) for model, about in MODELS.items() for task in TASKS]
    found += [record("dense", task, 0.2, 160_000_000, audio="silence") for task in TASKS]
    found += [record("whisper", task, 0.6, 74_000_000) for task in ("asr_en", "asr_de")]
    return found


WER = MetricValue(value=0.1234, low=0.101, high=0.1449, higher_is_better=False)


def result(model: str, task: str = "asr_en", **changes: object) -> Result:
    """One record made as all others are, but for the fields, fingerprints and provenance that `changes` names."""
    fields = ("generation", "model", "prompt", "settings", "data", "scoring")
    prints = {field: changes.pop(field, "same") for field in fields if field != "model"}
    prints |= {"generation": f"{model} {prints['generation']}", "model": str(changes.pop("weights", model))}
    provenance = Provenance(
        evalkit="0",
        started=str(changes.pop("started", "2026-01-01")),
        wall_seconds=10.0,
        audio_seconds=250.0,
        dtype=str(changes.pop("dtype", "float32")),
        backbone=str(changes.pop("backbone", "mini")),
        model_args=changes.pop("model_args", {}),
    )
    given = {
        "family": "asr",
        "tags": ("asr", "mini"),
        "n": 100,
        "metrics": {"wer,none": WER},
        "counts": {"ok": 100},
        "scoring": changes.pop("scoring_record", {}),
        **changes,
    }
    return Result(model=model, task=task, fingerprints=Fingerprints(**prints), provenance=provenance, **given)  # type: ignore[arg-type]
