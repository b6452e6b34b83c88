"""`evalkit run --check-audio`: a model that listens passes in silence, a deaf one is shouted about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Evalkit = Callable[..., Any]


def arguments(tones: Path, model: str, *more: str) -> list[str]:
    return ["run", "--model", model, "--tasks", "tones", "--include-path", str(tones), "--check-audio", *more]


def test_what_the_audio_adds_stands_below_the_results(evalkit: Evalkit, tones: Path) -> None:
    done = evalkit(*arguments(tones, "good_ear"))
    assert done.code == 0
    assert "WARNING" not in done.err
    results, _, adds = done.out.partition("What the audio adds, on a sample of each task")
    assert "good_ear" in results
    rows = [line.split() for line in adds.splitlines() if line.startswith("good_ear")]
    assert [row[2] for row in rows] == ["none", "silence", "shuffled"]
    assert rows[0][3:7] == ["accuracy", "1.000", "0.000", "1.000"]


def test_a_model_that_hears_nothing_is_warned_of_and_json_stays_json(
    evalkit: Evalkit, tones: Path, site: Path, place: Path
) -> None:
    card = place / "deaf.yaml"
    card.write_text(f"name: deaf\nloader: ears\nconfig: {{fails_on: {[f'tone{i}' for i in range(10)]}}}\n")
    done = evalkit(*arguments(tones, str(card), "--json", "--max-failures", "1"))
    assert json.loads(done.out)[0]["model"] == "deaf"
    assert "WARNING: deaf on tones: AUDIO CHANGES NOTHING" in done.err
