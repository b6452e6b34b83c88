"""The pages opened in a real browser: nothing on the console, nothing fetched, controls that work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from board import records
from chromium import Page, chromium
from hostile import SAID, SCRIPT, Says, write_speech

from evalkit.evaluation import evaluate
from evalkit.leaderboard import build_table, render_html, select
from evalkit.leaderboard.report import read_answers, render_report
from evalkit.runner import RunSettings

pytestmark = pytest.mark.slow

SHOWN_ROWS = "Array.from(document.querySelectorAll('tbody tr:not([hidden])')).map(row => row.dataset.name)"
SHOWN_TITLES = (
    "Array.from(document.querySelectorAll('thead th.metric:not([hidden])')).map(th => "
    "th.querySelector('.title').textContent + ' ' + th.querySelector('.measure').textContent.split('\\u00a0')[0])"
)
SHOWN_SAMPLES = (
    "Array.from(document.querySelectorAll('.sample'))"
    ".filter(one => one.checkVisibility()).map(one => one.querySelector('.name').textContent)"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "board.html"
    path.write_text(render_html(build_table(select(records())), "mini"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    task = write_speech(folder / "data")
    run = evaluate(Says("parrot", SAID), task, RunSettings(folder / "runs")).run
    path = folder / "report.html"
    path.write_text(render_report(read_answers(run.folder), task), encoding="utf-8")
    return path


@pytest.fixture
def open_board(browser: Page, board: Path) -> Iterator[Page]:
    yield from opened(browser, board)


@pytest.fixture
def open_report(browser: Page, report: Path) -> Iterator[Page]:
    yield from opened(browser, report)


def opened(page: Page, path: Path) -> Iterator[Page]:
    """The page in a window of a desk; whatever the test does, the console must stay empty."""
    page.trouble.clear()
    view(page, 1280)
    page.open(path)
    yield page
    assert page.trouble == []


def view(page: Page, width: int) -> None:
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
    )


def choose(page: Page, control: str, value: Any) -> None:
    """What a person does: set a control and let it tell."""
    page.evaluate(
        f"(() => {{ const one = document.getElementById('{control}'); "
        f"if (one.type === 'checkbox') one.checked = {str(bool(value)).lower()}; else one.value = '{value}'; "
        "for (const kind of ['input', 'change']) one.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


def click_heading(page: Page, title: str) -> list[str]:
    page.evaluate(
        "Array.from(document.querySelectorAll('thead button'))"
        f".find(one => one.textContent.includes('{title}')).click()"
    )
    rows: list[str] = page.evaluate(SHOWN_ROWS)
    return rows


def test_the_harness_notices_trouble(browser: Page, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><script>alert(1)</script>"
    )
    browser.trouble.clear()
    browser.open(page)
    assert any("Content Security Policy" in one for one in browser.trouble)
    page.write_text("<script>throw new Error('broken')</script><img src='http://localhost:65000/x.png'>")
    browser.trouble.clear()
    browser.open(page)
    assert any("broken" in one for one in browser.trouble)
    assert "request: http://localhost:65000/x.png" in browser.trouble


def test_a_click_sorts_the_best_to_the_top_and_another_turns_it_round(open_board: Page) -> None:
    best_first = ["large", "moe", "whisper", "dense", "dense (audio: silence)"]
    assert click_heading(open_board, "asr_en") == best_first
    assert open_board.evaluate("document.querySelectorAll('[aria-sort]').length") == 1
    assert click_heading(open_board, "asr_en") == best_first[::-1]
    assert click_heading(open_board, "Model") == sorted(best_first)


def test_rows_without_a_value_stay_at_the_end_either_way(open_board: Page) -> None:
    assert click_heading(open_board, "acted")[-1] == "whisper"
    assert click_heading(open_board, "acted")[-1] == "whisper"


def test_rows_are_filtered_by_name(open_board: Page) -> None:
    choose(open_board, "find", "DENS")
    assert open_board.evaluate(SHOWN_ROWS) == ["dense", "dense (audio: silence)"]
    assert open_board.evaluate("document.getElementById('shown').textContent") == "2 of 5 rows"


def test_columns_are_filtered_by_side_and_family_and_further_metrics_come_on_demand(open_board: Page) -> None:
    assert open_board.evaluate(SHOWN_TITLES) == [
        "asr_de WER",
        "asr_en WER",
        "captions CIDEr-D",
        "acted accuracy",
        "gender accuracy",
    ]
    choose(open_board, "tasks", "side:paralinguistic")
    assert open_board.evaluate(SHOWN_TITLES) == ["acted accuracy", "gender accuracy"]
    choose(open_board, "tasks", "family:asr")
    choose(open_board, "further", True)
    assert open_board.evaluate(SHOWN_TITLES) == ["asr_de WER", "asr_de CER", "asr_en WER", "asr_en CER"]


def test_plots_change_their_axis_without_a_script(open_board: Page) -> None:
    shown = (
        "Array.from(document.querySelectorAll('.plot')).filter(one => one.checkVisibility())"
        ".map(one => one.querySelector('.axis-label').textContent)"
    )
    assert open_board.evaluate(shown) == ["Active parameters"] * 2
    open_board.evaluate("document.querySelector('label[for=axis-time]').click()")
    assert open_board.evaluate(shown) == ["Wall time for each second of audio, s"] * 2


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(
    browser: Page, board: Path, report: Path, width: int
) -> None:
    for path in (board, report):
        view(browser, width)
        browser.open(path)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_one_block_for_each_model(open_board: Page) -> None:
    view(open_board, 390)
    open_board.evaluate("new Promise(done => setTimeout(done, 100))")
    assert open_board.evaluate("getComputedStyle(document.querySelector('thead')).display") == "none"
    choose(open_board, "sort", 0)
    assert open_board.evaluate(SHOWN_ROWS)[0] == "large"


def test_dark_is_dark_and_print_is_not(open_board: Page) -> None:
    def background(**media: Any) -> str:
        open_board.call("Emulation.setEmulatedMedia", **media)
        colour = open_board.evaluate("getComputedStyle(document.body).backgroundColor")
        return str(colour)

    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    try:
        assert background(media="screen", features=dark) == "rgb(19, 21, 24)"
        assert background(media="print", features=dark) == "rgb(255, 255, 255)"
    finally:
        background(media="", features=[])


def test_audio_plays_from_the_page_itself(open_report: Page) -> None:
    lengths = open_report.evaluate(
        "Promise.all(Array.from(document.querySelectorAll('audio')).map(one => new Promise((done, failed) => {"
        " one.onloadedmetadata = () => done(one.duration);"
        " one.onerror = () => failed(new Error(one.error.message)); one.load(); })))"
    )
    assert sorted(lengths) == pytest.approx([0.4 + 0.2 * number for number in range(10)], abs=0.01)


def test_a_script_in_a_prediction_does_not_run(open_report: Page) -> None:
    assert open_report.evaluate("document.title") == "speech: parrot"
    assert open_report.evaluate("document.scripts.length") == 1
    answer = (
        "Array.from(document.querySelectorAll('.sample'))"
        ".find(one => one.querySelector('.name').textContent.startsWith('id-')).querySelectorAll('dd')[1].textContent"
    )
    assert SCRIPT in open_report.evaluate(answer)


def test_samples_are_filtered(open_report: Page) -> None:
    assert len(open_report.evaluate(SHOWN_SAMPLES)) == 10
    choose(open_report, "status", "error")
    assert open_report.evaluate(SHOWN_SAMPLES) == ["failed"]
    choose(open_report, "status", "")
    choose(open_report, "group", "random")
    assert open_report.evaluate(SHOWN_SAMPLES) == ["exact"]
    choose(open_report, "group", "")
    choose(open_report, "find", "THREE FOUR")
    assert open_report.evaluate(SHOWN_SAMPLES) == ["edited"]
    assert open_report.evaluate("document.getElementById('shown').textContent") == "1 of 10"
