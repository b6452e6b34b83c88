"""PTB tokens of captions, against what the Java tokeniser of pycocoevalcap made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.text import ptb_tokens

GOLDEN = json.loads((Path(__file__).parents[1] / "metrics/goldens/captions.json").read_text("utf-8"))


@pytest.mark.parametrize("sample", GOLDEN["samples"])
def test_tokens_equal_the_java_tokeniser(sample: dict[str, object]) -> None:
    assert " ".join(ptb_tokens(sample["answer"])) == sample["answer_tokens"]
    assert [" ".join(ptb_tokens(text)) for text in sample["references"]] == sample["reference_tokens"]


@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A man's dog isn't barking.", "a man 's dog is n't barking"),
        ("It can't, and cannot; they're gonna.", "it ca n't and can not they 're gon na"),
        ('"High-pitched" beeps (loud), then...', "high-pitched beeps -lrb- loud -rrb- then"),
        ("At 5 p.m. Mr. Smith plays, e.g., a waltz etc.", "at 5 p.m. mr. smith plays e.g. a waltz etc."),
        ("1,000 people at 10:30, 50% of 44.1 kHz", "1,000 people at 10:30 50 % of 44.1 khz"),
        ("wait!! what?! no!", "wait !! what ?! no"),
        ("a – b — c -- d - e", "a b c d e"),
        ("it’s “quoted” and ‘single’ …", "it 's quoted and single"),
        ("in the key of C. The piano in C# minor", "in the key of c the piano in c# minor"),
        ("speech/music/noise", "speech/music/noise"),
        ("rock'n'roll at 10 o'clock in the '80s", "rock 'n' roll at 10 o'clock in the '80s"),
        ("birds chirping.A dog", "birds chirping.a dog"),
        ("wind 😀 blows", "wind blows"),
        ("", ""),
        (" . ", ""),
    ],
)
def test_a_caption_is_tokenised(caption: str, tokens: str) -> None:
    assert " ".join(ptb_tokens(caption)) == tokens


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "'", "1,", "J. ", " ", "n't", "a/", "(", "\u202e"])
def test_long_captions_are_read_in_bounded_time(piece: str) -> None:
    ptb_tokens(piece * (100_000 // len(piece)))
