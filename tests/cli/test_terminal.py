"""What is printed is safe to print, and tables line up."""

from __future__ import annotations

import pytest

from evalkit.cli.terminal import Heading, plain_table, printable, show_table


@pytest.mark.security
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcode, 日本, tab\tand\nline", "plain, ünïcode, 日本, tab\tand\nline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\picture", "picture"),
        ("\x1bcreset", "reset"),
        ("over\rwrite\x08\x00\x7f", "overwrite"),
        ("abc\u202edcba\u2066x\u200f", "abcdcbax"),
        ("\x1b]never ends", ""),
        ("\x1b", ""),
        ("lone \ud800", "lone \ufffd"),
    ],
)
def test_control_sequences_do_not_reach_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_columns_line_up_also_with_wide_and_combining_characters() -> None:
    table = plain_table(
        [Heading("task"), Heading("WER %\nn = 3", "right")],
        [["short", "1.0"], ["日本", "22.0"], ["e\u0301te\u0301", ""]],
    )
    assert table.split("\n") == [
        "task   WER %",
        "       n = 3",
        "-----  -----",
        "short    1.0",
        "日本    22.0",
        "e\u0301te\u0301",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert plain_table([Heading("task")], []) == "task\n----"


@pytest.mark.security
def test_a_heading_from_a_record_is_printed_without_control_sequences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table([Heading("\x1b[31mred\u202e"), Heading("WER\nn = 3\x07")], [["a", "b"]])
    assert capsys.readouterr().out == "red  WER\n     n = 3\n---  -----\na    b\n"
