"""What can be wrong with a task, as exceptions that carry every message at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a task file. line: counted from 1, 0 when it is the file as a whole."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class TaskErrors(ValueError):  # noqa: N818 - it carries many
    """Every mistake found in a task file, one message each."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line)))
        self.messages = tuple(dict.fromkeys(str(mistake) for mistake in self.mistakes))
        super().__init__("\n".join(self.messages))


class UnknownName(ValueError):  # noqa: N818 - reads as what it says
    """A name that is no task, group or tag."""


class PromptError(ValueError):
    """A template that cannot be rendered for a sample."""


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """ "; did you mean 'tag'?" for the nearest name, "" if none is near."""
    close = difflib.get_close_matches(str(name), sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
