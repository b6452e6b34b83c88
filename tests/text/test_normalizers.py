"""Named text normalisers."""

from __future__ import annotations

import pytest

from evalkit.text import NORMALIZERS, normalize, versioned


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none", "  Don't  Panic! ", "  Don't  Panic! "),
        ("basic", "Mr. Smith [noise] (laughs) said: HELLO!", "mr smith said hello"),
        ("basic", "", ""),
        (
            "whisper_en",
            "Mr. Smith can't pay twenty-five dollars for the colour telly.",
            "mister smith can not pay $25 for the color telly",
        ),
        ("lower_no_punct", "Don't PANIC!", "dont panic"),
        ("lower_no_punct", "non_verbal / hip-hop", "non verbal hip hop"),
        ("lower_no_punct", "Ärger, großer", "ärger großer"),
        ("lower_no_punct", "...", ""),
    ],
)
def test_a_text_is_normalised(name: str, text: str, expected: str) -> None:
    assert normalize(name)(text) == expected


@pytest.mark.parametrize(("one", "other"), [("C#", "C"), ("-5", "5"), ("50 %", "50"), ("R&B", "RB")])
def test_labels_that_differ_by_a_telling_sign_stay_apart(one: str, other: str) -> None:
    normal = normalize("lower_no_punct")
    assert normal(one) != normal(other)


def test_a_hyphen_between_numbers_is_no_sign() -> None:
    assert normalize("lower_no_punct")("3-4") == "3 4"


@pytest.mark.parametrize("name", NORMALIZERS)
def test_normalising_twice_changes_nothing_more(name: str) -> None:
    normal = normalize(name)
    once = normal("Mr. O'Neil's 2nd COLOUR tv, won't-work & co. (x)!")
    assert normal(once) == once


@pytest.mark.parametrize("name", NORMALIZERS)
def test_white_space_and_strange_characters_are_survived(name: str) -> None:
    for text in ("", " \n\t ", "\ud800", "\u202eabc", "\x1b[31mred", "a" * 100_000):
        assert isinstance(normalize(name)(text), str)


def test_an_unknown_name_gives_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'whisper_en'"):
        normalize("whisper-en")


def test_the_version_is_part_of_the_name_in_fingerprints() -> None:
    assert versioned("basic") == f"basic@{NORMALIZERS['basic']}"
    with pytest.raises(ValueError, match="unknown normalizer"):
        versioned("basics")
