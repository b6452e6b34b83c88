"""The parts of a training run that need no model: the loop, the mixture of sources, the recipe."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from evalkit.tasks.schema import AudioRef
from model_adapters.audio_llm.config import ProjectorConfig
from model_adapters.audio_llm.projector import Projected, count_parameters
from model_adapters.audio_llm.prompt import Segment
from model_adapters.audio_llm.training.align import CtcHead, naming_loss
from model_adapters.audio_llm.training.data import Example, mixture, projector_input, spoken_form, thin_out
from model_adapters.audio_llm.training.loop import Group, Loss, Stage, run_stage, schedule
from model_adapters.audio_llm.training.recipe import (
    AlignStage,
    DataSource,
    Recipe,
    TuneStage,
    read_recipe,
    with_seed,
)

WIDTH = 16
RECIPE = Recipe(
    name="parts",
    projector=ProjectorConfig(kind="linear", encoder_width=WIDTH),
    data=(DataSource(task="mini_asr_en", path="asr.jsonl"),),
    save_every=5,
)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def quadratic(fail_at: int | None = None, steps: int = 20) -> Stage:
    """A stage without models, that dies before it has done step `fail_at`."""
    torch.manual_seed(0)
    module = nn.Linear(3, 1)

    def loss(step: int) -> Loss:
        if step == fail_at:
            raise KeyboardInterrupt
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        total = (module(x) - x.sum(1, keepdim=True)).square().mean()
        return Loss(total, {"loss": float(total.detach())})

    return Stage(
        "fit",
        "a line of three numbers",
        steps,
        [Group(list(module.parameters()), 0.1)],
        {"module": module},
        loss,
    )


@pytest.mark.fault
@pytest.mark.parametrize("fail_at", [0, 3, 5, 7, 19])
def test_a_run_that_dies_between_two_saves_repeats_the_steps_it_lost(tmp_path: Path, fail_at: int) -> None:
    def go(folder: Path, stage: Stage) -> Any:
        folder.mkdir(exist_ok=True)
        run_stage(stage, RECIPE, folder, lambda line: None)
        return stage.modules["module"].weight

    expected = go(tmp_path / "whole", quadratic())
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "broken", quadratic(fail_at))
    assert torch.equal(go(tmp_path / "broken", quadratic()), expected)
    whole, broken = (tmp_path / name / "fit.csv" for name in ("whole", "broken"))
    assert broken.read_bytes() == whole.read_bytes()
    assert [row["step"] for row in rows(whole)] == [str(step) for step in range(20)]


@pytest.mark.fault
def test_a_row_that_was_torn_by_a_kill_is_dropped(tmp_path: Path) -> None:
    run_stage(quadratic(), RECIPE, tmp_path, lambda line: None)
    expected = (tmp_path / "fit.csv").read_bytes()
    (tmp_path / "fit.csv").write_bytes(expected + b"1")
    run_stage(quadratic(), RECIPE, tmp_path, lambda line: None)
    assert (tmp_path / "fit.csv").read_bytes() == expected


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    stage = quadratic()
    with torch.no_grad():
        stage.modules["module"].weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="fit: the gradient at step 0 is not finite"):
        run_stage(stage, RECIPE, tmp_path, lambda line: None)


def test_the_learning_rate_warms_up_and_goes_down_to_nothing() -> None:
    factors = [schedule(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == pytest.approx([(i + 0.5) / 10 for i in range(10)])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[10] == pytest.approx(1.0, abs=1e-3)
    assert factors[-1] < 1e-3
    assert schedule(0, 100, 0.0) == pytest.approx(1.0, abs=1e-3)


def example(source: int = 0, before: tuple[int, ...] = (1,), answer: tuple[int, ...] = (2,)) -> Example:
    segments = (Segment(tokens=before), Segment(audio=0), Segment(tokens=(7, 8)))
    return Example(source, "t", (AudioRef("a"),), segments, answer, ())


def test_batches_follow_the_shares_and_the_seed_alone() -> None:
    sources = [DataSource(task="t", path="p", share=3.0), DataSource(task="t", path="q", align=False)]
    examples = [example(source) for source in (0, 0, 0, 1, 1)]
    tune, align = (mixture(sources, examples, shares) for shares in ((3.0, 1.0), (3.0, 0.0)))
    drawn = [index for step in range(400) for index in tune.draw(8, f"0/{step}")]
    assert sum(index < 3 for index in drawn) / len(drawn) == pytest.approx(0.75, abs=0.03)
    assert {index for step in range(50) for index in align.draw(8, f"0/{step}")} == {0, 1, 2}
    assert tune.draw(8, "x") == tune.draw(8, "x") != tune.draw(8, "y")


def test_blanked_frames_are_short_spans_of_about_the_stated_share_and_follow_seed_and_step() -> None:
    recipe = RECIPE.model_copy(update={"dropped_frames": 0.1})
    states = [torch.ones(400, WIDTH) for _ in range(20)]
    blanked = torch.stack(projector_input(recipe, states, "tune/3")).sum(-1) == 0
    assert 0.06 < float(blanked.float().mean()) < 0.12
    assert torch.equal(torch.stack(projector_input(recipe, states, "tune/3")).sum(-1) == 0, blanked)
    assert not torch.equal(torch.stack(projector_input(recipe, states, "tune/4")).sum(-1) == 0, blanked)
    assert torch.stack(projector_input(RECIPE, states, "tune/3")).all()
    assert all(state.all() for state in states)


def test_thinned_clips_keep_a_random_share_of_their_tokens_in_order_and_never_none() -> None:
    clips = [torch.arange(200.0)[:, None] for _ in range(300)] + [torch.zeros(1, 1)]
    thinned = thin_out(clips, 0.2, 0, "thin/3")
    shares = torch.tensor([len(clip) / 200 for clip in thinned[:-1]])
    assert 0.2 <= float(shares.min()) < 0.25 and 0.95 < float(shares.max()) <= 1
    assert float(shares.mean()) == pytest.approx(0.6, abs=0.05)
    assert all(bool((clip.diff(dim=0) > 0).all()) for clip in thinned) and len(thinned[-1]) == 1
    again, other = (thin_out(clips, 0.2, 0, step) for step in ("thin/3", "thin/4"))
    assert all(torch.equal(a, b) for a, b in zip(thinned, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(thinned, other, strict=True))


def test_other_tuning_goes_on_from_the_same_alignment() -> None:
    other = RECIPE.model_copy(update={"tune": TuneStage(steps=99), "name": "other"})
    assert other.aligned_by == RECIPE.aligned_by and other.extended_by == RECIPE.extended_by
    longer = RECIPE.model_copy(update={"extend": AlignStage(steps=9)})
    assert longer.aligned_by == RECIPE.aligned_by and longer.extended_by != RECIPE.extended_by
    assert RECIPE.model_copy(update={"seed": 7}).aligned_by != RECIPE.aligned_by
    vocal = [DataSource(task="v", path="v", align=False, extend=1.0, share=share) for share in (1.0, 2.0)]
    once, twice = (RECIPE.model_copy(update={"data": (*RECIPE.data, source)}) for source in vocal)
    assert once.extended_by == twice.extended_by != RECIPE.extended_by


MINI = Path(__file__).parents[2] / "recipes" / "mini"
ARMS = ["moe_adapter", "dense_baseline", "dense_active", "dense_linear", "moe_no_shared", "moe_no_balance"]


def test_the_arms_differ_in_nothing_but_the_projector_and_its_balance_loss() -> None:
    arms = [read_recipe(MINI / f"{name}.yaml") for name in ARMS]
    assert [arm.name for arm in arms] == ARMS
    assert len({arm.model_dump_json(exclude={"name", "projector", "balance_weight"}) for arm in arms}) == 1
    assert len({arm.model_dump_json(exclude={"name"}) for arm in arms}) == len(ARMS)


def test_the_arms_are_as_large_as_they_say() -> None:
    sizes = {name: count_parameters(read_recipe(MINI / f"{name}.yaml").projector) for name in ARMS}
    total, active = sizes["moe_adapter"]
    assert sizes["dense_baseline"][0] == pytest.approx(total, rel=2e-3)
    assert sizes["dense_active"][0] == pytest.approx(active, rel=2e-3)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("like: ../moe_adapter.yaml", "must be the name of a recipe in the same folder"),
        ("like: [moe_adapter.yaml]", "must be the name|cannot read"),
        ("like: second.yaml", "without a `like` of its own"),
        ("like: absent.yaml", "cannot read the recipe .*absent.yaml"),
    ],
)
def test_a_recipe_is_like_one_whole_recipe_beside_it(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "second.yaml").write_text("like: third.yaml\n")
    path = tmp_path / "arm.yaml"
    path.write_text(f"name: arm\n{line}\n")
    with pytest.raises(ValueError, match=said):
        read_recipe(path)


def test_a_recipe_like_another_takes_the_settings_of_a_section_that_it_does_not_name(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text((MINI / "moe_adapter.yaml").read_text())
    path = tmp_path / "arm.yaml"
    path.write_text("like: base.yaml\nname: arm\ntune: {steps: 100}\nprojector: {kind: linear}\n")
    base, arm = read_recipe(tmp_path / "base.yaml"), read_recipe(path)
    assert arm.tune == base.tune.model_copy(update={"steps": 100})
    assert arm.projector == ProjectorConfig(kind="linear")
    assert (arm.data, arm.align, arm.lora) == (base.data, base.align, base.lora)


def test_a_further_seed_has_the_name_that_joins_it_to_its_recipe() -> None:
    second = with_seed(RECIPE, 2)
    assert (second.name, second.seed) == ("parts-s2", 2)
    assert second.model_dump(exclude={"name", "seed"}) == RECIPE.model_dump(exclude={"name", "seed"})


def test_a_balanced_source_gives_every_answer_equally_often() -> None:
    examples = [example(answer=(5,))] * 9 + [example(answer=(6,))]
    for balanced, rare in ((True, 0.5), (False, 0.1)):
        batches = mixture([DataSource(task="t", path="p", balanced=balanced)], examples, [1.0])
        drawn = [index for step in range(400) for index in batches.draw(8, f"0/{step}")]
        assert drawn.count(9) / len(drawn) == pytest.approx(rare, abs=0.03)


def test_the_spoken_form_is_what_can_be_heard() -> None:
    assert spoken_form("Agent Logged off.") == "agent logged off"
    assert spoken_form("  Don’t—STOP!  (now) ") == "don't stop now"
    assert spoken_form("Größe, naïve") == "größe naïve"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("name: x\nprojector: {kind: moe, experts: 3}\ndata: []\n", ["projector.experts", "data"]),
        (
            "name: x\nprojector: {kind: moe}\ndata: [{task: t, path: p, share: 0}]\nlr: 1\n",
            ["data.0.share", "lr"],
        ),
        ("name: a/b\nprojector: {kind: moe}\ndata: [{task: t, path: p}]\n", ["name: String should match"]),
        ("name: x\nprojector: {kind: moe}\ndata: [{task: t, path: p, align: false}]\n", ["align has steps"]),
        (
            "name: x\nprojector: {kind: moe}\ndata: [{task: t, path: p}]\nextend: {steps: 5}\n",
            ["extend has steps"],
        ),
        ("{", ["cannot read the recipe"]),
        ("name: !!python/object/apply:os.system [ls]\n", ["cannot read the recipe"]),
    ],
)
def test_mistakes_in_a_recipe_are_all_named(tmp_path: Path, text: str, places: list[str]) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_recipe(path)
    assert all(place in str(error.value) for place in places)


def test_naming_is_cross_entropy_of_a_clips_words_under_its_frames_mean_scores() -> None:
    torch.manual_seed(0)
    embeddings, frames = torch.randn(50, 8), torch.randn(11, 8)
    head = CtcHead([4, 9, 30, 31, 44], embeddings)
    projected = Projected(frames, None)
    scores = head(frames)[:, 1:].split([7, 4])
    first, second = (
        nn.functional.cross_entropy(score.mean(0), torch.tensor(word))
        for score, word in zip(scores, (1, 4), strict=True)
    )
    loss = naming_loss(head, projected, [7, 4], [torch.tensor([2]), torch.tensor([5])])
    torch.testing.assert_close(loss, (first + second) / 2)
    both = [naming_loss(head, projected, [11], [torch.tensor(words)]) for words in ([2, 5], [5, 2, 5])]
    torch.testing.assert_close(both[0], both[1])
