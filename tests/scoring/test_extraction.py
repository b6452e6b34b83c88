"""From responses to answers: statuses, choices in free text, filters, log-likelihoods."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.model import FinishReason, Response
from evalkit.results.record import JournalEntry
from evalkit.scoring import ScoringSpec, extract
from evalkit.scoring.choices import find_choice
from evalkit.tasks.schema import FilterSpec, MetricSpec

EMOTIONS = ("happy", "sad", "very happy", "angry")
TEXT = ScoringSpec("generate_until", (MetricSpec("accuracy"),))
CHOICE = ScoringSpec("multiple_choice", (MetricSpec("accuracy"),))


def said(text: str | None, choices: tuple[str, ...] = (), finish: FinishReason = "stop") -> JournalEntry:
    return JournalEntry("1", "", ("x",), Response(text=text, finish_reason=finish), choices)


def weighed(
    *logprobs: float, choices: tuple[str, ...] = EMOTIONS, tokens: tuple[int, ...] = ()
) -> JournalEntry:
    response = Response(choice_logprobs=logprobs, choice_tokens=tokens, finish_reason="choices")
    return JournalEntry("1", "", ("x",), response, choices)


@pytest.mark.parametrize(
    ("entry", "answer", "status"),
    [
        (said("hello there"), "hello there", "ok"),
        (said(""), "", "empty"),
        (said(" \n"), "", "empty"),
        (said("hello the", finish="length"), "hello the", "truncated"),
        (said("Happy!", EMOTIONS), "happy", "ok"),
        (said("", EMOTIONS), None, "empty"),
        (said("I cannot tell", EMOTIONS), None, "unparsed"),
        (said("It is sad, because", EMOTIONS, finish="length"), "sad", "truncated"),
        (said("Let me think", EMOTIONS, finish="length"), None, "truncated"),
        (said(None), None, "error"),
        (said("half an answer", finish="error"), None, "error"),
    ],
)
def test_a_text_has_an_answer_and_a_status(entry: JournalEntry, answer: str | None, status: str) -> None:
    prediction = extract(entry, TEXT)
    assert (prediction.answer, prediction.status) == (answer, status)


def test_an_error_has_no_answer_whatever_else_the_response_holds() -> None:
    entry = JournalEntry("1", "", ("x",), Response(text="happy", error="out of memory"), EMOTIONS)
    for spec in (TEXT, CHOICE):
        assert extract(entry, spec).status == "error"
        assert extract(entry, spec).answer is None


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("happy", "happy"),
        ("**Happy.**", "happy"),
        ('"Very happy"', "very happy"),
        ("B", "sad"),
        ("b", "sad"),
        ("(B)", "sad"),
        ("B.", "sad"),
        ("B) sad", "sad"),
        ("(d) angry", "angry"),
        ("(D) angry", "angry"),
        ("D: the speaker shouts", "angry"),
        ("B) because of the slow voice", "sad"),
        ("The answer is sad.", "sad"),
        ("The correct answer is (C).", "very happy"),
        ("Answer: D", "angry"),
        ("I would pick option B because of the tone", "sad"),
        ("Thinking aloud: happy? no.\nFinal answer: angry", "angry"),
        ("The speaker sounds very happy to me", "very happy"),
        ("It is (D), clearly", "angry"),
    ],
)
def test_a_choice_is_found(text: str, choice: str) -> None:
    assert find_choice(text, EMOTIONS) == choice


@pytest.mark.parametrize(
    "text",
    [
        "happy or sad",
        "(A) happy (B) sad (C) very happy (D) angry",
        "B) happy",
        "The answer is happy. No, the answer is sad.",
        "The answer is not happy.",
        "It isn't sad",
        "anything other than angry",
        "unhappy",
        "sadness",
        "A man is talking",
        "The answer is A man shouting",
        "E",
        "(F) furious",
        "42",
        "?",
    ],
)
def test_what_names_no_choice_or_two_is_not_guessed(text: str) -> None:
    assert find_choice(text, EMOTIONS) is None


def test_letters_that_are_choices_themselves_are_taken_at_their_word() -> None:
    keys = ("C", "D", "E", "A")
    assert find_choice("C", keys) == "C"
    assert find_choice("A.", keys) == "A"
    assert find_choice("B", keys) is None
    assert find_choice("The key is a minor one", keys) is None
    assert find_choice("(B)", ("A", "B", "C")) == "B"


def test_choices_that_differ_by_a_sign_stay_apart() -> None:
    assert find_choice("C# major", ("C major", "C# major")) == "C# major"
    assert find_choice("it is in c major", ("C major", "C# major")) == "C major"


def test_yes_and_no() -> None:
    assert find_choice("No, they are different people.", ("yes", "no")) == "no"
    assert find_choice("Yes.", ("yes", "no")) == "yes"
    assert find_choice("yes and no", ("yes", "no")) is None


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_one_of_the_choices_or_nothing(text: str, choices: list[str]) -> None:
    assert find_choice(text, choices) in {*choices, None}


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True), st.data())
@settings(max_examples=200, deadline=None)
def test_a_choice_said_word_for_word_is_that_choice(choices: list[str], data: st.DataObject) -> None:
    clean = sorted({choice.strip("*_`\"'“”‘’ \n\t") for choice in choices} - {""})
    if clean:
        choice = data.draw(st.sampled_from(clean))
        assert find_choice(choice, clean) == choice


@pytest.mark.parametrize("text", ["happy ", "answer ", "(A) ", "answer\n\n\n\n", "not ", "\u202e", "B)"])
def test_a_megabyte_of_text_is_read_in_bounded_time(text: str) -> None:
    find_choice(text * (1_000_000 // len(text)), EMOTIONS)


def test_the_likeliest_choice_is_the_answer() -> None:
    assert extract(weighed(-3.0, -1.0, -2.0, -9.0), CHOICE).answer == "sad"
    assert extract(weighed(-1.0, -1.0, -2.0, -math.inf), CHOICE).answer == "happy"


@pytest.mark.parametrize("entry", [weighed(), weighed(-1.0, -2.0), weighed(-1.0, math.nan, -2.0, -3.0)])
def test_choices_without_a_likelihood_each_are_an_error(entry: JournalEntry) -> None:
    prediction = extract(entry, CHOICE)
    assert (prediction.answer, prediction.status) == (None, "error")


def test_likelihoods_are_divided_by_length_where_a_filter_says_so() -> None:
    entry = weighed(-2.0, -6.0, choices=("no", "certainly"), tokens=(1, 4))
    by_characters = FilterSpec("norm", (("normalize_length", {}),))
    by_tokens = FilterSpec("norm", (("normalize_length", {"by": "tokens"}),))
    assert extract(entry, CHOICE).answer == "no"
    assert extract(entry, CHOICE, by_characters).answer == "certainly"
    assert extract(entry, CHOICE, by_tokens).answer == "certainly"
    assert extract(weighed(-2.0, -6.0, choices=("no", "yes")), CHOICE, by_tokens).status == "error"


@pytest.mark.parametrize(
    ("steps", "text", "answer"),
    [
        ((("regex", {"regex_pattern": r"answer (\w+)"}),), "answer b answer c", "b"),
        ((("regex", {"regex_pattern": r"answer (\w+)", "group_select": -1}),), "answer b answer c", "c"),
        ((("regex", {"regex_pattern": r"(x)|(y)"}),), "y", "y"),
        ((("regex", {"regex_pattern": "z"}),), "y", None),
        ((("regex", {"regex_pattern": "z", "fallback": "none"}),), "y", "none"),
        ((("strip", {}), ("lowercase", {})), "  ABC ", "abc"),
        ((("remove_whitespace", {}), ("uppercase", {})), " abc ", "ABC"),
        ((("map", {"mapping_dict": {"1": "one"}}),), "1", "one"),
        ((("map", {"mapping_dict": {"1": "one"}}),), "2", None),
        ((("map", {"mapping_dict": {}, "default_value": "many"}),), "2", "many"),
        ((("take_first", {}),), "abc", "abc"),
    ],
)
def test_filters_work_on_the_text(
    steps: tuple[tuple[str, dict[str, object]], ...], text: str, answer: str
) -> None:
    prediction = extract(said(text), TEXT, FilterSpec("chain", steps))
    assert prediction.answer == answer
    assert prediction.status == ("ok" if answer else "unparsed")


def test_choices_are_sought_in_what_the_filters_leave() -> None:
    chain = FilterSpec("final", (("regex", {"regex_pattern": r"Final: (.*)"}),))
    assert extract(said("happy? sad? Final: B", EMOTIONS), TEXT, chain).answer == "sad"
