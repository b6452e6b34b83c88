"""The cosines of training curves, gathered over arms and seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.mini.conflict import Cosine, by_seed, differences, read_cosines


def write_curves(folder: Path, *cosines: str) -> None:
    folder.mkdir()
    rows = [f"{10 * step},1.5,{cosine}" for step, cosine in enumerate(cosines)]
    (folder / f"{folder.name}.yaml").touch()
    (folder / "tune.csv").write_text("\n".join(["step,loss,conflict_asr_music_qa", *rows]) + "\n")


@pytest.fixture
def training(tmp_path: Path) -> Path:
    write_curves(tmp_path / "moe_adapter", "0.5", "", "0.1")
    write_curves(tmp_path / "moe_adapter-s1", "0.2")
    write_curves(tmp_path / "dense_baseline", "-0.1", "0.9", "0.3")
    write_curves(tmp_path / "dense_baseline-s2", "-0.9")
    return tmp_path


def test_only_batches_on_which_both_families_had_a_gradient_count(training: Path) -> None:
    assert [one for one in read_cosines(training) if (one.arm, one.seed) == ("moe_adapter", 0)] == [
        Cosine("moe_adapter", 0, 0, "asr_music_qa", 0.5),
        Cosine("moe_adapter", 0, 20, "asr_music_qa", 0.1),
    ]


def test_seeds_of_one_number_are_paired_batch_by_batch(training: Path) -> None:
    cosines = list(read_cosines(training))
    assert by_seed(cosines, "moe_adapter").keys() == {0, 1}
    assert differences(cosines, "moe_adapter", "dense_baseline") == pytest.approx([(0.6 - 0.2) / 2])


def test_a_training_that_goes_on_is_left_out(training: Path) -> None:
    (training / "moe_adapter-s1/moe_adapter-s1.yaml").unlink()
    assert by_seed(read_cosines(training), "moe_adapter").keys() == {0}
