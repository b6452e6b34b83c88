"""Where stderr is no terminal, progress is a line now and then."""

from __future__ import annotations

import pytest

from evalkit.cli.progress import Lines, rates_text
from evalkit.runner.progress import Rates


def test_lines_come_every_few_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines("ear on tones", clock=lambda: now[0])
    lines.start(100, 10)
    for _ in range(8):
        now[0] += 2.0
        lines.advance(10, 30.0)
    lines.note("batch \x1b[31mhalved")
    lines.close()
    shown = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert shown == [
        "ear on tones: 100 samples",
        "ear on tones: 40/100",
        "ear on tones: 70/100",
        "ear on tones: batch halved",
        "ear on tones: 90/100",
    ]


def test_nothing_to_do_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines("ear on tones")
    lines.start(8, 8)
    lines.close()
    assert capsys.readouterr().err == "ear on tones: 8 samples, 8 of them done before\n"


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        (Rates(10, 100, 3.21, 14.04, 125.2), "3.2 samples/s, 14.0x real time, 2:05 left"),
        (Rates(100, 100, 1234.5, 0.0, 0.0), "1234 samples/s"),
        (Rates(0, 100, 0.0, 0.0, None), "0 samples/s"),
        (Rates(1, 100, 0.0123, 1.0, 8000.0), "0.012 samples/s, 1.0x real time, 133:20 left"),
    ],
)
def test_rates_read_as_speed_and_time_left(rates: Rates, text: str) -> None:
    assert rates_text(rates) == text
