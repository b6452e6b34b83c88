"""The queue of arms and seeds that the comparison is made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.cards import load_model, resolve_model
from evalkit.model import LoadOptions
from model_adapters.audio_llm.training.recipe import read_recipe, with_seed
from model_adapters.audio_llm.training.run import _decided, _write_card, is_trained
from recipes.mini.arms import ABLATED, COMPARED, RECIPES, main, queue


def test_every_compared_arm_has_three_seeds_and_every_recipe_is_trained_once_at_least() -> None:
    trained = list(queue())
    assert len(trained) == len(set(trained))
    for arm in COMPARED:
        assert {seed for name, seed in trained if name == arm} == {None, 1, 2}
    whole = [path.stem for path in RECIPES.glob("*.yaml") if "\nname: " in path.read_text()]
    assert set(whole) == {name for name, _ in trained}


@pytest.mark.parametrize("arm", [*COMPARED, *ABLATED])
def test_every_arm_has_a_card_that_says_what_its_recipe_does(arm: str) -> None:
    config = resolve_model(arm).config
    for part, wanted in _decided(read_recipe(RECIPES / f"{arm}.yaml")).items():
        assert config[part] | wanted == config[part]


@pytest.mark.parametrize("arm", ABLATED)
def test_an_arm_without_weights_says_how_they_are_made(arm: str) -> None:
    with pytest.raises(
        ValueError, match=rf"`evalkit train recipes/mini/{arm}\.yaml` makes them, then give --model"
    ):
        load_model(resolve_model(arm), LoadOptions(device="cpu"))


def test_parts_of_the_queue_pass_over_what_is_done(tmp_path: Path) -> None:
    recipes = [read_recipe(RECIPES / f"{arm}.yaml") for arm, _ in queue()]
    recipes = [
        one if seed is None else with_seed(one, seed) for one, (_, seed) in zip(recipes, queue(), strict=True)
    ]
    names = [recipe.name for recipe in recipes]
    for recipe in recipes:
        (tmp_path / recipe.name).mkdir()
        _write_card(recipe, tmp_path / recipe.name, {"clips": 9}, {"device": "cpu"})
    command = [sys.executable, "-m", "recipes.mini.arms", "--data", str(tmp_path), "--output", str(tmp_path)]
    said = [
        subprocess.run(
            [*command, "--part", part], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for part in ("1/2", "2/2")
    ]
    assert sorted(said[0] + said[1]) == sorted(f"{name} is done" for name in names)
    assert abs(len(said[0]) - len(said[1])) <= 1


def test_an_arm_is_done_only_by_its_own_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / "dense_active.yaml")
    assert not is_trained(recipe, tmp_path)
    _write_card(recipe, tmp_path, {"clips": 9}, {"device": "cpu"})
    assert is_trained(recipe, tmp_path)
    other = recipe.model_copy(update={"tune": recipe.tune.model_copy(update={"steps": 7})})
    assert not is_trained(other, tmp_path)


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "x/y"])
def test_a_part_that_is_none_is_refused(
    part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["arms", "--data", ".", "--part", part])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "with I from 1 to N" in capsys.readouterr().err
