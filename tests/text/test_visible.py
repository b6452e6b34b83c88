"""Nothing that a reader cannot see gets past."""

from __future__ import annotations

import pytest

from evalkit.text import visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred", "⟨U+001B⟩[31mred"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"),
        ("nul\x00 del\x7f csi\x9b", "nul⟨U+0000⟩ del⟨U+007F⟩ csi⟨U+009B⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("half \ud83d pair", "half \ufffd pair"),
    ],
)
def test_the_unseen_is_written_out(text: str, expected: str) -> None:
    assert visible(text) == expected


@pytest.mark.parametrize("text", ["two\nlines\tand a tab", "naïve 漢字 עברית", "می‌خواهم", "👩‍🚀"])
def test_ordinary_text_of_any_script_stays(text: str) -> None:
    assert visible(text) == text
