"""Choices offered by letters, for models that give text and no likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

LETTER_REQUEST = "Answer with the letter of the right option only."


def lettered(choices: Sequence[str]) -> str:
    """The choices, one a line, each with its letter, and the request for a letter.

    Raises ValueError for more choices than letters.
    """
    if len(choices) > len(ascii_uppercase):
        raise ValueError(f"{len(choices)} choices cannot be offered by letters: there are 26")
    lines = [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    return "\n".join(["", *lines, LETTER_REQUEST])
