"""One record a cell, like beside like only, and the same table gives the same bytes."""

from __future__ import annotations

import csv
import io
import json

import pytest
from board import WER, result

from evalkit.leaderboard import (
    build_table,
    frame,
    render_csv,
    render_json,
    render_latex,
    render_markdown,
    select,
)
from evalkit.leaderboard.sections import sections
from evalkit.results.record import MetricValue, Result

SCORING = {"metrics": [{"metric": "uar"}, {"metric": "accuracy"}]}
UAR = {"uar,none": MetricValue(value=0.5, low=0.4, high=0.6), "accuracy,none": MetricValue(value=0.55)}


def test_models_are_rows_and_task_metrics_are_columns_in_family_order() -> None:
    emotion = result("moe", "acted", family="emotion", metrics=UAR, scoring_record=SCORING)
    table = build_table(select([emotion, result("moe"), result("dense")]))
    assert [(column.task, column.metric) for column in table.columns] == [
        ("asr_en", "wer,none"),
        ("acted", "uar,none"),
        ("acted", "accuracy,none"),
    ]
    assert [row.label for row in table.rows] == ["dense", "moe"]
    assert [cell is None for cell in table.rows[0].cells] == [False, True, True]


def test_chance_is_told_for_tasks_that_offer_choices() -> None:
    emotion = result("moe", "acted", family="emotion", metrics=UAR, scoring_record=SCORING, chance=0.125)
    assert [note for note in build_table([emotion, result("moe")]).notes if "Chance" in note] == [
        "Chance, the accuracy of a uniform guess among the choices: acted 12.5 %."
    ]
    assert not [note for note in build_table([result("moe")]).notes if "Chance" in note]


def test_the_newest_record_stands_in_the_table() -> None:
    old = result("moe", started="2026-01-01", generation="old weights")
    new = result("moe", started="2026-02-01", generation="new weights")
    assert select([new, old]) == select([old, new]) == [new]


def test_partial_runs_are_left_out_unless_asked_for_and_never_hide_a_full_one() -> None:
    full = result("moe", started="2026-01-01")
    partial = result("moe", started="2026-03-01", partial=True, n=10, data="ten")
    only_partial = result("dense", partial=True, n=10, data="ten")
    assert select([full, partial, only_partial]) == [full]
    assert select([full, partial, only_partial], partial=True) == [only_partial, full]


def test_withheld_audio_is_a_row_of_its_own_after_the_real_one() -> None:
    silence, real = result("moe", audio="silence"), result("moe")
    table = build_table(select([silence, real, result("zeta")]))
    assert [row.label for row in table.rows] == ["moe", "moe (audio: silence)", "zeta"]


@pytest.mark.parametrize("field", ["prompt", "settings", "data", "scoring"])
def test_results_made_differently_do_not_share_a_column(field: str) -> None:
    with pytest.raises(ValueError, match=rf"asr_en differs in {field} \(a: dense; b: moe\)\n.*--allow-mixed"):
        build_table(select([result("moe"), result("dense", **{field: "other"})]))


def test_a_different_model_or_generation_fingerprint_is_no_obstacle() -> None:
    assert len(build_table(select([result("moe"), result("dense", generation="bf16")])).columns) == 1


def test_allow_mixed_sets_them_apart_and_says_so() -> None:
    results = [result("moe"), result("moe", scoring="other"), result("dense"), result("dense", "other_task")]
    table = build_table(select(results, mixed=True), allow_mixed=True)
    assert [column.heading for column in table.columns] == ["asr_en (a)", "asr_en (b)", "other_task"]
    assert [[cell is not None for cell in row.cells] for row in table.rows] == [
        [True, False, True],
        [True, True, False],
    ]
    assert table.notes == ("Not comparable: asr_en differs in scoring (a: dense, moe; b: moe).",)


def test_a_note_tells_failures_clusters_and_missing_intervals_once() -> None:
    value = WER.model_copy(
        update={"clusters": 9, "method": "percentile bootstrap", "note": "only 9 clusters"}
    )
    counts = {"ok": 97, "truncated": 2, "error": 1, "empty": 0}
    results = [result(name, metrics={"wer,none": value}, counts=counts) for name in ("a", "b")]
    table = build_table(results)
    assert table.notes == (
        "Of 100 answers: 2 truncated, 1 error. A sample without an answer counts as wrong. "
        "A truncated one counts by what was written.",
        "Only 9 clusters.",
        "Intervals by percentile bootstrap over 9 clusters: asr_en (wer).",
    )
    assert [row.cells[0].notes for row in table.rows if row.cells[0]] == [(1, 2), (1, 2)]


def test_one_row_never_mixes_weights_or_number_formats() -> None:
    old, new = result("moe", weights="a" * 64), result("moe", "acted", weights="b" * 64)
    rows = build_table([old, new]).rows
    assert [row.label for row in rows] == ["moe (weights aaaaaaaa)", "moe (weights bbbbbbbb)"]
    assert [[cell is None for cell in row.cells] for row in rows] == [[True, False], [False, True]]
    other = result("moe", "acted", dtype="bfloat16")
    assert [row.label for row in build_table([result("moe"), other]).rows] == [
        "moe (bfloat16)",
        "moe (float32)",
    ]


def test_rows_of_another_backbone_or_other_model_arguments_are_told_apart_in_words() -> None:
    mini = result("moe", weights="a" * 64, started="2026-01-01")
    hub = result("moe", weights="b" * 64, backbone="hub", started="2026-02-01")
    rows = build_table(select([mini, hub])).rows
    assert [row.label for row in rows] == ["moe (backbone hub)", "moe (backbone mini)"]
    other = result("moe", weights="c" * 64, model_args={"top_k": "2"})
    rows = build_table(select([mini, other])).rows
    assert [row.label for row in rows] == ["moe (no model arguments)", "moe (top_k=2)"]


def test_tasks_are_chosen_by_name_family_or_tag() -> None:
    results = [result("moe"), result("moe", "acted", family="emotion", tags=("mini",))]
    assert [r.task for r in select(results, tasks=["emotion"])] == ["acted"]
    assert [r.task for r in select(results, tasks=["mini"])] == ["acted", "asr_en"]
    with pytest.raises(ValueError, match=r"no record of ars; .* acted, asr, asr_en, emotion, mini"):
        select(results, tasks=["ars"])


def test_markdown_is_the_same_bytes_whatever_the_order_of_the_records() -> None:
    counts = {"ok": 99, "truncated": 1}
    results = [
        result("moe"),
        result("dense", counts=counts),
        result("moe", "acted", family="emotion", metrics=UAR, scoring_record=SCORING),
    ]
    text = render_markdown(build_table(select(results)), "Mini")
    assert text == render_markdown(build_table(select(results[::-1])), "Mini")
    assert text.splitlines() == [
        "# Leaderboard: Mini",
        "",
        "Error rates, accuracies, F1 and recall in percent, [95 % interval]; ↓ lower is better, ↑ higher.",
        "",
        "| model | asr_en<br>WER % ↓<br>n = 100 | acted<br>UAR % ↑<br>n = 100 "
        "| acted<br>accuracy % ↑<br>n = 100 |",
        "| --- | ---: | ---: | ---: |",
        "| dense | 12.3 [10.1, 14.5] <sup>1</sup> | – | – |",
        "| moe | 12.3 [10.1, 14.5] | 50.0 [40.0, 60.0] | 55.0 |",
        "",
        "1. Of 100 answers: 1 truncated. A truncated one counts by what was written.",
    ]


def test_names_from_records_cannot_break_the_markdown() -> None:
    hostile = "x|y\n<script>`*[a](b)"
    text = render_markdown(build_table([result(hostile)]), "Mini")
    assert "| x\\|y &lt;script&gt;\\`\\*\\[a\\](b) | 12.3" in text


def test_csv_holds_the_plain_numbers() -> None:
    lines = list(
        csv.DictReader(io.StringIO(render_csv(build_table(select([result("moe"), result("dense")])))))
    )
    assert [(line["model"], line["value"], line["low"], line["n"]) for line in lines] == [
        ("dense", "0.1234", "0.101", "100"),
        ("moe", "0.1234", "0.101", "100"),
    ]


def test_the_frame_has_a_row_for_each_result_and_metric() -> None:
    data = frame(
        [
            result("moe"),
            result(
                "moe",
                "acted",
                family="emotion",
                metrics=UAR,
                scoring_record=SCORING,
                counts={"ok": 98, "empty": 2},
            ),
        ]
    )
    assert list(data["metric"]) == ["wer", "uar", "accuracy"]
    assert list(data["empty"]) == [0, 2, 2]
    assert list(data["rtfx"]) == [25.0] * 3
    assert data.loc[0, ["model", "model_fingerprint", "value", "filter"]].tolist() == [
        "moe",
        "moe",
        0.1234,
        "none",
    ]
    assert len(frame([])) == 0


def test_bounds_and_failures_stand_in_every_format() -> None:
    value = MetricValue(value=0.4, low=0.3, high=0.5, worst=0.4, best=0.48)
    failing = result("moe", "acted", metrics={"accuracy,none": value}, counts={"ok": 88, "unparsed": 12})
    table = build_table([failing])
    assert "| moe | 40.0 [30.0, 50.0] {40.0, 48.0} <sup>1</sup> |" in render_markdown(table, "Mini")
    (line,) = csv.DictReader(io.StringIO(render_csv(table)))
    assert (line["worst"], line["best"], line["ok"], line["unparsed"]) == ("0.4", "0.48", "88", "12")
    cell = json.loads(render_json(table))["rows"][0]["cells"][0]
    assert (cell["worst"], cell["best"], cell["counts"]["unparsed"]) == (0.4, 0.48, 12)
    assert "[30.0, 50.0] \\{40.0, 48.0\\}" in render_latex(table, "Mini")
    assert "{worst, best}: the value if every answer that failed had been wrong, or right." in table.notes


def board_of(models: int) -> list[Result]:
    """16 tasks of five families, two metrics each."""
    families = {"asr": 6, "captioning": 2, "music_qa": 3, "emotion": 2, "speaker": 3}
    found = []
    for model in range(models):
        for family, count in families.items():
            side = "semantic" if family in ("asr", "captioning", "music_qa") else "paralinguistic"
            for task in range(count):
                about = {"family": family, "side": side, "metrics": UAR, "scoring_record": SCORING}
                found.append(result(f"model_{model:02d}", f"{family}_{task}", **about))
    return found


def test_a_wide_table_stands_in_families_after_its_averages() -> None:
    text = render_markdown(build_table(select(board_of(25))), "Mini")
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("## ")] == [
        *("## Averages", "## Speech recognition", "## Speech recognition: further metrics"),
        *("## Audio captioning", "## Music question answering", "## Emotion", "## Speaker"),
    ]
    assert max(line.count(" | ") for line in lines) <= 6
    assert sum(line.startswith("| model_07 |") for line in lines) == 7


def test_a_section_has_the_rows_that_were_run_and_every_column_stands_once() -> None:
    table = build_table(select([*board_of(3), result("plain", "asr_0", metrics=UAR, scoring_record=SCORING)]))
    parts = sections(table)
    assert sorted(place for part in parts for place in part.columns) == list(range(len(table.columns)))
    assert [3 in part.rows for part in parts] == [True, True, False, False, False, False]
    firsts = sections(table, further=False)
    assert {table.columns[place].metric for part in firsts for place in part.columns} == {"uar,none"}
