"""Alignments agree with the rate they colour, and with jiwer."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.metrics import get
from evalkit.metrics.alignment import Edit, align
from evalkit.metrics.edits import EditRate


def rate(name: str, **options: str) -> EditRate:
    metric = get(name, options)
    assert isinstance(metric, EditRate)
    return metric


def test_words_are_equal_substituted_deleted_or_inserted() -> None:
    assert align(rate("wer"), ["one two three four five"], "one three for five six") == (
        Edit("equal", ("one",), ("one",)),
        Edit("delete", ("two",), ()),
        Edit("equal", ("three",), ("three",)),
        Edit("replace", ("four",), ("for",)),
        Edit("equal", ("five",), ("five",)),
        Edit("insert", (), ("six",)),
    )


def test_it_sees_what_the_normaliser_leaves() -> None:
    assert align(rate("wer", normalizer="whisper_en"), ["Colour, please!"], "color please") == (
        Edit("equal", ("color", "please"), ("color", "please")),
    )


def test_of_several_references_the_closest_counts() -> None:
    (edit,) = align(rate("wer"), ["a b c", "x y"], "x y")
    assert (edit.kind, edit.reference) == ("equal", ("x", "y"))


def test_characters_are_the_units_of_cer() -> None:
    edits = align(rate("cer"), ["cat"], "cut")
    assert [(edit.kind, edit.reference, edit.answer) for edit in edits] == [
        ("equal", ("c",), ("c",)),
        ("replace", ("a",), ("u",)),
        ("equal", ("t",), ("t",)),
    ]


def test_an_empty_answer_deletes_everything() -> None:
    assert align(rate("wer"), ["a b"], "") == (Edit("delete", ("a", "b"), ()),)
    assert align(rate("wer"), [""], "") == ()


def test_no_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="no reference"):
        align(rate("wer"), [], "a")


TEXT = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join)


@given(TEXT, TEXT)
def test_the_errors_are_those_of_jiwer_and_both_texts_are_whole(reference: str, answer: str) -> None:
    edits = align(rate("wer"), [reference], answer)
    said = jiwer.process_words(reference, answer)
    assert sum(edit.errors for edit in edits) == said.substitutions + said.deletions + said.insertions
    assert " ".join(word for edit in edits for word in edit.reference) == reference
    assert " ".join(word for edit in edits for word in edit.answer) == answer
