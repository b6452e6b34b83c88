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


@pytest.mark.fault
@pytest.mark.parametrize("name", ["basic", "basic_no_diacritics", "basic_no_space", "whisper_en"])
def test_long_texts_have_the_normal_form_of_the_package(name: str) -> None:
    """Texts that are tamed first, against the package itself."""
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    package = {
        "basic": BasicTextNormalizer(),
        "basic_no_diacritics": BasicTextNormalizer(remove_diacritics=True),
        "basic_no_space": lambda text: "".join(BasicTextNormalizer()(text).split()),
        "whisper_en": EnglishTextNormalizer(),
    }[name]
    parts = [
        "(a) b ",
        "[c] ( d < ",
        "e] f > ",
        "don 't  ",
        "one 'twas \n\t ",
        "( x ",
        "<< y [ ",
        "$ 5 st ",
        "é ) ",
    ]
    for start in range(len(parts)):
        text = " ".join((parts[start:] + parts[:start]) * 30)
        assert len(text) > 1_000
        assert normalize(name)(text) == package(text).strip()


@pytest.mark.fault
@pytest.mark.parametrize(
    "text", ["(" * 30_000, "[" * 30_000, " " * 30_000 + "a", "0" * 9_000, "0," * 9_000, "one " * 9_000]
)
def test_a_text_made_to_take_forever_is_normalised_at_once(text: str) -> None:
    assert "(" not in normalize("whisper_en")(text)
