"""The leaderboard page: what it holds, that it needs nothing else, and that data stay text."""

from __future__ import annotations

import base64
import hashlib
import re

from board import record, records, value
from parsed import Element, parsed

from evalkit.leaderboard import build_table, render_html, select

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202edrowssap\x1b[31m"


def page_of(results: list[object] | None = None) -> str:
    return render_html(build_table(select(results or records())), "mini")  # type: ignore[arg-type]


def cells(page: Element, model: str) -> dict[str, Element]:
    (row,) = page.all("tr", data_name=model)
    return {str(cell.attributes["data-label"]): cell for cell in row.all("td")}


def test_the_same_records_give_the_same_bytes() -> None:
    assert page_of(records()[::-1]) == page_of()


def test_every_value_stands_with_its_interval_and_a_bar() -> None:
    cell = cells(parsed(page_of()), "moe")["asr_en WER\u00a0%\u00a0↓"]
    assert cell.text == "30.0 [25.0, 35.0]"
    assert float(cell.attributes["data-value"] or "") == 1 - 0.7
    (span,) = cell.all("line", class_="span")
    (dot,) = cell.all("circle")
    ends = [float(str(span.attributes[end]).rstrip("%")) for end in ("x1", "x2")]
    assert ends[0] < float(str(dot.attributes["cx"]).rstrip("%")) < ends[1]


def test_best_and_second_best_are_marked_among_rows_with_audio() -> None:
    page = parsed(page_of())
    label = "acted accuracy\u00a0%\u00a0↑"
    marks = {
        model: cells(page, model)[label].attributes["class"]
        for model in ("large", "moe", "dense", "dense (audio: silence)")
    }
    assert marks == {
        "large": "metric best",
        "moe": "metric second",
        "dense": "metric",
        "dense (audio: silence)": "metric",
    }


def test_rows_have_averages_and_cost() -> None:
    found = cells(parsed(page_of()), "large")
    assert found["Semantic average\u00a0↑"].text.startswith("80.0 [")
    assert found["Parameters active"].text == "8 B of 8 B"
    assert found["Speed × real time\u00a0↑"].text == "4.0"
    lacking = cells(parsed(page_of()), "whisper")["Semantic average\u00a0↑"]
    assert (lacking.text, "data-value" in lacking.attributes) == ("– 1 task not run", False)


def test_the_plots_show_every_row_that_has_an_average_and_a_size() -> None:
    page = parsed(page_of())
    by_size = page.all("div", class_="drawings of-active")[0]
    assert [caption.text for caption in by_size.all("figcaption")] == [
        "Semantic average",
        "Paralinguistic average",
    ]
    points = by_size.all("figure")[0].all("title")
    assert [point.text for point in points] == [
        "dense: 50.0 at 160 M",
        "dense (audio: silence): 20.0 at 160 M",
        "large: 80.0 at 8 B",
        "moe: 70.0 at 170 M",
    ]
    assert len(page.all("svg", class_="plot")) == 6


def test_seeds_are_drawn_as_their_mean_and_no_two_labels_lie_on_each_other() -> None:
    results = [record(name, "gender", 0.5, 160_000_000) for name in ("moe", "moe-s1")]
    results += [record(f"other_{number}", "gender", 0.5, 160_000_000) for number in range(30)]
    page = parsed(page_of(results))
    points = page.all("div", class_="drawings of-active")[0].all("g")
    names = [point.all("title")[0].text.partition(":")[0] for point in points]
    assert names == ["moe (mean of 2 seeds)", *sorted(f"other_{number}" for number in range(30))]
    places = [
        (label.attributes["x"], label.attributes["y"]) for point in points for label in point.all("text")
    ]
    assert 1 < len(places) == len(set(places)) < len(points)
    assert cells(page, "moe (mean of 2 seeds)")["gender accuracy\u00a0%\u00a0↑"].text.startswith("50.0 ± 0.0")


def test_without_sizes_and_times_there_are_no_plots() -> None:
    bare = record("m", "asr_en", 0.5)
    still = bare.provenance.model_copy(update={"wall_seconds": 0.0})
    page = parsed(page_of([bare.model_copy(update={"provenance": still})]))
    assert not page.all("svg", class_="plot")
    assert [cell for cell in cells(page, "m") if "average" not in cell] == [
        "asr_en WER\u00a0%\u00a0↓",
        "asr_en CER\u00a0%\u00a0↓",
    ]


def test_failures_are_noted_at_the_value() -> None:
    failing = record("m", "asr_en", 0.5, counts={"ok": 98, "error": 2})
    page = parsed(page_of([failing]))
    cell = cells(page, "m")["asr_en WER\u00a0%\u00a0↓"]
    (mark,) = cell.all("a")
    (note,) = page.all("li", id=str(mark.attributes["href"]).lstrip("#"))
    assert note.text == "Of 100 answers: 2 error. A sample without an answer counts as wrong."
    assert mark.attributes["title"] == note.text


def test_what_failures_leave_open_stands_below_the_interval() -> None:
    bounded = value("accuracy", 0.5).model_copy(update={"worst": 0.5, "best": 0.6})
    failing = record(
        "m", "gender", 0.5, counts={"ok": 90, "unparsed": 10}, metrics={"accuracy,none": bounded}
    )
    cell = cells(parsed(page_of([failing])), "m")["gender accuracy\u00a0%\u00a0↑"]
    (bounds,) = cell.all("span", class_="detail bounds")
    assert bounds.text == "{50.0, 60.0}"


def test_operations_and_memory_stand_beside_size_where_a_row_knows_them() -> None:
    plain, measured = record("a", "gender", 0.5), record("b", "gender", 0.5)
    made = measured.provenance.model_copy(update={"projector_flops": 21_500_000.0, "peak_memory": 3 * 2**29})
    page = parsed(page_of([plain, measured.model_copy(update={"provenance": made})]))
    assert cells(page, "b")["Projector FLOPs"].text == "21.5 M"
    assert cells(page, "b")["Memory peak"].text == "1.5 GiB"
    assert cells(page, "a")["Memory peak"].text == "–"


def test_values_that_are_not_numbers_are_missing() -> None:
    nan = value("wer", 0.5).model_copy(update={"value": float("nan"), "low": None, "high": None})
    page = parsed(page_of([record("m", "asr_en", 0.5, metrics={"wer,none": nan})]))
    cell = cells(page, "m")["asr_en WER\u00a0%\u00a0↓"]
    assert (cell.text, "data-value" in cell.attributes) == ("–", False)


def test_names_from_records_stay_text() -> None:
    page = page_of([record(HOSTILE, "asr_en", 0.5)])
    root = parsed(page)
    assert len(root.all("script")) == 1
    assert not root.all("img")
    assert "\u202e" not in page
    assert "\x1b" not in page
    (row,) = root.all("th", scope="row")
    assert row.text == HOSTILE.replace("\u202e", "⟨U+202E⟩").replace("\x1b", "⟨U+001B⟩")


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    root = parsed(page_of())
    (policy,) = (
        str(meta.attributes["content"])
        for meta in root.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (element,) = root.all(tag)
        content = "".join(child for child in element.children if isinstance(child, str))
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_the_page_names_no_address_and_carries_no_inline_style() -> None:
    page = page_of()
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", page)
    assert not re.search(r"\s(style|on\w+)=", page)
