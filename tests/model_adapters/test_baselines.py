"""Rows that hear nothing: the majority and chance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from evalkit.cards import find_cards, load_model, resolve_model
from evalkit.evaluation import evaluate
from evalkit.model import Card, Hints, LoadOptions, Message, Request, Response
from evalkit.runner import RunSettings
from evalkit.tasks import find_tasks
from model_adapters.baselines import Baseline, load_majority, load_random, random_answer

MOODS = ("anger", "joy", "pain")
GOLDEN = ["joy", "joy", "joy", "pain", "anger", "pain", "anger", "joy"]


def ask(
    name: str = "s1", question: str = "Which mood?", choices: tuple[str, ...] = (), **hints: object
) -> Request:
    given = Hints(**hints)  # type: ignore[arg-type]
    return Request(name, (Message("user", (question,)),), choices=choices, hints=given)


def model(name: str, seed: int = 0) -> Baseline:
    loaded = load_model(resolve_model(name), LoadOptions(seed=seed))
    assert isinstance(loaded, Baseline)
    return loaded


def answer(name: str, request: Request, seed: int = 0) -> Response:
    one = model(name, seed)
    prepared = [one.prepare(request)]
    return (one.score_choices(prepared) if request.choices else one.generate(prepared))[0]


def test_the_majority_is_the_answer_that_the_task_names() -> None:
    assert answer("majority", ask(options=MOODS, majority="joy")) == Response(text="joy")
    assert answer("majority", ask(majority="hello there")) == Response(text="hello there")


def test_the_majority_is_the_likeliest_choice_where_choices_are_weighed() -> None:
    response = answer("majority", ask(choices=MOODS, options=MOODS, majority="joy"))
    assert response.choice_logprobs == (-1.0, 0.0, -1.0)
    assert (response.choice_tokens, response.finish_reason) == ((1, 1, 1), "choices")


def test_a_text_task_without_a_majority_gets_no_answer() -> None:
    assert answer("majority", ask()) == Response(text="")
    assert answer("random", ask()) == Response(text="")


@pytest.mark.parametrize(
    ("named", "found"),
    [("", "there is no metadata.evalkit.majority"), ("Joy", "metadata.evalkit.majority is 'Joy'")],
)
def test_a_majority_that_is_no_choice_is_refused(named: str, found: str) -> None:
    with pytest.raises(ValueError, match=f"{found}: the task must name .* one of its choices"):
        model("majority").prepare(ask(options=MOODS, majority=named))


def test_chance_is_uniform_over_the_choices() -> None:
    drawn = Counter(random_answer(ask(f"sample {i}", options=MOODS), 0) for i in range(3_000))
    # 1,000 of each expected, with a standard deviation of 26
    assert all(900 < drawn[mood] < 1_100 for mood in MOODS)


def test_chance_depends_on_the_seed_the_sample_and_the_question_alone() -> None:
    def drawn(seed: int = 0, question: str = "Which mood?") -> list[str]:
        return [random_answer(ask(f"sample {i}", question, options=MOODS), seed) for i in range(50)]

    assert drawn() == drawn()
    assert len({tuple(drawn()), tuple(drawn(seed=1)), tuple(drawn(question="Which?"))}) == 3


def test_chance_draws_what_it_always_drew() -> None:
    """The draw must not change with a version of Python or of a package."""
    assert [random_answer(ask(f"s{i}", options=MOODS), 0) for i in range(8)] == GOLDEN


def test_chance_picks_the_same_answer_as_text_and_among_choices() -> None:
    for index in range(20):
        text = answer("random", ask(f"s{index}", options=MOODS), seed=3).text
        weighed = answer("random", ask(f"s{index}", choices=MOODS, options=MOODS), seed=3)
        assert weighed.choice_logprobs == tuple(0.0 if mood == text else -1.0 for mood in MOODS)


def test_another_seed_is_another_model_and_only_for_chance() -> None:
    prints = {
        name: {model(name, seed).info.fingerprint for seed in (0, 1)} for name in ("random", "majority")
    }
    assert {name: len(found) for name, found in prints.items()} == {"random": 2, "majority": 1}
    assert not prints["random"] & prints["majority"]


def test_they_read_what_they_need_of_the_hints() -> None:
    assert model("majority").info.hints == ("options", "majority")
    assert model("random").info.hints == ("options",)


@pytest.mark.parametrize("load", [load_majority, load_random])
def test_what_they_do_not_know_is_refused(load: object, tmp_path: Path) -> None:
    assert callable(load)
    card = Card("constant", "majority", {"answer": "joy"}, tmp_path / "constant.yaml")
    with pytest.raises(ValueError, match=r"constant takes no config, but constant\.yaml has some"):
        load(card, LoadOptions())
    with pytest.raises(ValueError, match="constant takes no --model-args, but got language"):
        load(card, LoadOptions(args={"language": "en"}))


def test_baselines_have_cards() -> None:
    cards = {card.name: card for card in find_cards() if card.status == "baseline"}
    assert set(cards) >= {"majority", "random", "transcript", "whisper_base"}
    assert all(card.summary and card.license for card in cards.values())


@pytest.mark.parametrize("name", ["majority", "random"])
def test_every_emotion_task_can_be_run(name: str, tmp_path: Path) -> None:
    for task in find_tasks([]).resolve("emotion"):
        result = evaluate(model(name), task, RunSettings(tmp_path)).result
        classes = len(task.doc_to_choice)
        assert result.counts["ok"] == result.n
        uar = result.metrics["uar,none"].value
        # one class in all is recalled by the majority; chance recalls each by its share, about
        assert uar == pytest.approx(1 / classes, abs=1e-9 if name == "majority" else 0.12)
