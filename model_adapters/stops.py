"""Stop strings, for models that cannot be told of them and servers that do not heed them."""

from __future__ import annotations

from collections.abc import Sequence


def until(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """The text before the first of the stop strings, and whether there is one."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return (text[: min(ends)], True) if ends else (text, False)
