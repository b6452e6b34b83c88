"""Drawn training curves: what is in the table is in the drawing, and nothing else is."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from model_adapters.audio_llm.training.curves import draw_curves, running_mean

SVG = "{http://www.w3.org/2000/svg}"
STEPS = 400


def write(path: Path, columns: dict[str, list[float | None]]) -> Path:
    rows = zip(*columns.values(), strict=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", *columns])
        for step, row in enumerate(rows):
            writer.writerow([step, *("" if value is None else f"{value:.6g}" for value in row)])
    return path


def tune_table(folder: Path) -> Path:
    """A stage as `evalkit train` writes it: tasks and conflicts do not have a value at every step."""
    rng = np.random.default_rng(0)
    fall = np.exp(-np.arange(STEPS) / 100)
    conflict = [rng.uniform(-1, 1) if step % 100 == 0 else None for step in range(STEPS)]
    columns: dict[str, list[float | None]] = {
        "loss": list(0.5 + 4 * fall + 0.1 * rng.random(STEPS)),
        "balance": [1.0] * STEPS,
        **{f"load_{e}": list(0.25 + 0.05 * (e - 1.5) + 0.01 * rng.random(STEPS)) for e in range(4)},
        "loss_mini_asr_en": [value if step % 3 else None for step, value in enumerate(0.2 + fall)],
        "loss_mini_gender": [value if step % 2 else None for step, value in enumerate(0.6 + fall)],
        "conflict_asr_speaker": conflict,
        "grad_norm": [1.0] * STEPS,
    }
    return write(folder / "tune.csv", columns)


def texts(drawing: Path | None) -> list[str]:
    assert drawing is not None
    root = ElementTree.parse(drawing).getroot()
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def titles(drawing: Path | None) -> list[str]:
    assert drawing is not None
    found = ElementTree.parse(drawing).getroot().iter(f"{SVG}text")
    return [node.text or "" for node in found if node.get("class") == "title"][1:]


def test_a_tuning_stage_has_four_panels_with_every_curve_named(tmp_path: Path) -> None:
    drawing = draw_curves(tune_table(tmp_path))
    assert drawing == tmp_path / "tune.svg"
    assert titles(drawing) == ["Loss", "Loss by task", "Expert load", "Gradient conflict"]
    written = " | ".join(texts(drawing))
    for name in ("mini_asr_en", "mini_gender", "asr_speaker", *(f"expert {e}" for e in range(4))):
        assert f"{name} " in written
    assert not {"balance", "grad_norm"} & set(re.findall(r"\w+", written.replace("gradients", "")))


def test_a_dense_alignment_has_a_loss_alone(tmp_path: Path) -> None:
    columns: dict[str, list[float | None]] = {"loss": [50.0, 9.0, 1.0], "balance": [0.0] * 3}
    assert titles(draw_curves(write(tmp_path / "align.csv", columns))) == ["Loss"]


def test_a_curve_is_labelled_with_the_mean_that_it_ends_on(tmp_path: Path) -> None:
    table = tune_table(tmp_path)
    with table.open(encoding="utf-8", newline="") as file:
        values = [float(row["loss_mini_asr_en"]) for row in csv.DictReader(file) if row["loss_mini_asr_en"]]
    reach = max(5, len(values) // 20) // 2
    assert f"mini_asr_en {np.mean(values[-reach - 1 :]):.3g}" in texts(draw_curves(table))


@pytest.mark.parametrize("width", [1, 2, 5, 50])
def test_the_running_mean_is_that_of_the_points_around(width: int) -> None:
    values = np.random.default_rng(1).normal(size=23)
    reach = width // 2
    expected = [values[max(0, i - reach) : i + reach + 1].mean() for i in range(23)]
    found = running_mean(tuple(enumerate(values)), width)
    assert [step for step, _ in found] == list(range(23))
    assert [value for _, value in found] == pytest.approx(expected)


def test_larger_values_stand_higher_and_steps_go_to_the_right(tmp_path: Path) -> None:
    columns: dict[str, list[float | None]] = {"loss_a": [3.0] * 20, "loss_b": [1.0] * 20}
    drawing = draw_curves(write(tmp_path / "tune.csv", columns))
    assert drawing is not None
    lines = [
        [tuple(map(float, place.split())) for place in re.split("[ML]", node.get("d") or "")[1:]]
        for node in ElementTree.parse(drawing).getroot().iter(f"{SVG}path")
        if node.get("class") == "line"
    ]
    a, b = (line for line in lines if len(line) == 20)
    assert all(upper[1] < lower[1] for upper, lower in zip(a, b, strict=True))
    assert [x for x, _ in a] == sorted({x for x, _ in a})


def test_labels_of_curves_that_end_alike_do_not_overlap(tmp_path: Path) -> None:
    columns: dict[str, list[float | None]] = {f"loss_task{n}": [1.0, 1.0 + n / 1e6] for n in range(12)}
    drawing = draw_curves(write(tmp_path / "tune.csv", columns))
    assert drawing is not None
    nodes = [n for n in ElementTree.parse(drawing).getroot().iter(f"{SVG}text") if "task" in (n.text or "")]
    heights = sorted(float(node.get("y") or "nan") for node in nodes if node.get("class") is None)
    assert len(heights) == 12
    assert min(np.diff(heights)) >= 12
    assert heights[-1] < 270


@pytest.mark.parametrize(
    "columns",
    [
        {"loss": [2.0]},
        {"loss": [0.0, 0.0]},
        {"loss": [-1.0, 1e9]},
        {"loss": [1e-9, 1e9]},
        {"loss": [3.0, math.nan, math.inf, 2.0]},
        {"loss": [1.0, 1.0], "conflict_a_b": [None, -0.5]},
    ],
    ids=str,
)
def test_any_values_that_can_be_drawn_are(tmp_path: Path, columns: dict[str, list[float | None]]) -> None:
    drawing = draw_curves(write(tmp_path / "tune.csv", columns))
    assert drawing is not None
    content = drawing.read_text(encoding="utf-8")
    ElementTree.fromstring(content)
    assert not re.search(r"\b(nan|inf)\b", content)


def test_no_steps_no_drawing(tmp_path: Path) -> None:
    assert draw_curves(tmp_path / "align.csv") is None
    assert draw_curves(write(tmp_path / "align.csv", {"loss": []})) is None
    (tmp_path / "align.csv").write_text("")
    assert draw_curves(tmp_path / "align.csv") is None
    assert [path.name for path in tmp_path.iterdir()] == ["align.csv"]


@pytest.mark.security
def test_a_drawing_holds_no_code_and_points_nowhere(tmp_path: Path) -> None:
    columns: dict[str, list[float | None]] = {'loss_<script>alert("x")</script>': [1.0, 2.0]}
    drawing = draw_curves(write(tmp_path / "tune.csv", columns))
    assert drawing is not None
    content = drawing.read_text(encoding="utf-8")
    tags = {node.tag.removeprefix(SVG) for node in ElementTree.fromstring(content).iter()}
    assert tags == {"svg", "title", "style", "rect", "g", "text", "path"}
    assert content.count("http") == 1
    assert "url(" not in content


def test_the_same_table_gives_the_same_bytes_whatever_its_length(tmp_path: Path) -> None:
    table = tune_table(tmp_path)
    first, again = (path.read_bytes() for path in (draw_curves(table), draw_curves(table)) if path)
    assert first == again
    long: dict[str, list[float | None]] = {"loss": [1.0 + (n % 7) for n in range(40_000)]}
    drawing = draw_curves(write(tmp_path / "long.csv", long))
    assert drawing is not None
    assert drawing.stat().st_size < 40_000
