"""What `compare` says on runs whose answers are known, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from talkers import N, Talker, compared, naming, run, the_task, transcription

from evalkit.leaderboard.comparison import (
    comparison_json,
    render_comparison,
)
from evalkit.leaderboard.comparison.text import in_words, p_text, signed_text, verdict
from evalkit.leaderboard.stored import find_arms
from evalkit.model import GenerationSettings
from evalkit.tasks.schema import MetricSpec


def test_a_planted_difference_is_found_with_its_size_and_direction(runs: Path) -> None:
    done = compared(runs)
    words, names = the_task(done, "words"), the_task(done, "names")
    assert (words.tested.metric, words.tested.difference) == ("wer,none", pytest.approx(-22 / 24))
    assert names.tested.difference == pytest.approx(11 / 24)
    assert (names.tested.wins, names.tested.ties, names.tested.losses) == (11, 13, 0)
    assert words.different
    assert verdict(words, "dense", "moe") == "moe is better"
    assert words.tested.low is not None and words.tested.high is not None
    assert words.tested.low < words.tested.difference < words.tested.high < 0
    assert words.tested.relative == pytest.approx(-22 / 25)


def test_the_same_answers_differ_in_nothing(clips: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        run(Talker(name, [1, 5]), transcription(clips), tmp_path)
    task = the_task(compared(tmp_path, "one", "other"), "words")
    assert [(one.difference, one.p, one.low, one.high) for one in task.differences] == [(0, 1, 0, 0)] * 2
    assert (task.tested.wins, task.tested.ties, task.tested.losses) == (0, N, 0)
    assert (task.corrected, task.detectable, task.tested.effect) == (1, None, None)
    assert "words: no difference shown. WER" in in_words(task, "one", "other")
    assert "no difference at all" in in_words(task, "one", "other")


def test_where_everything_differs_p_is_the_smallest_there_is(clips: Path, tmp_path: Path) -> None:
    task = replace(naming(clips), meta=replace(naming(clips).meta, cluster=""))
    run(Talker("never", range(N)), task, tmp_path)
    run(Talker("always"), task, tmp_path)
    found = the_task(compared(tmp_path, "never", "always"), "names").tested
    assert (found.difference, found.wins, found.test) == (1.0, N, "exact McNemar")
    assert found.p == pytest.approx(2 * 0.5**N)


def test_mcnemar_is_scipys_exact_binomial_test(clips: Path, tmp_path: Path) -> None:
    task = replace(naming(clips), meta=replace(naming(clips).meta, cluster=""))
    run(Talker("one", range(9)), task, tmp_path)
    run(Talker("other", [0, 1, 22]), task, tmp_path)
    found = the_task(compared(tmp_path, "one", "other"), "names").tested
    assert found.p == pytest.approx(scipy.stats.binomtest(7, 8).pvalue)


def test_randomisation_and_interval_agree_with_scipy_on_clusters(runs: Path) -> None:
    """Twelve voices of two clips: all exchanges of whole voices, against scipy on the voices' sums."""
    found = the_task(compared(runs), "names").tested
    assert (found.test, found.units) == ("exact randomisation", 12)
    dense = np.array(
        [[number >= 12 and number != 23 for number in (voice, voice + 12)] for voice in range(12)]
    )
    moe = np.array([[number not in (3, 23) for number in (voice, voice + 12)] for voice in range(12)])
    gaps = moe.sum(axis=1) - dense.sum(axis=1)
    exact = scipy.stats.permutation_test(
        (gaps,), lambda x: np.mean(x), permutation_type="samples", n_resamples=np.inf
    )
    assert found.p == pytest.approx(exact.pvalue)
    drawn = scipy.stats.bootstrap((gaps / 2,), np.mean, n_resamples=9_999, method="percentile", rng=1)
    assert found.low == pytest.approx(drawn.confidence_interval.low, abs=0.02)
    assert found.high == pytest.approx(drawn.confidence_interval.high, abs=0.02)


def test_word_errors_get_the_matched_pairs_test_as_well(runs: Path) -> None:
    [pairs] = the_task(compared(runs), "words").tested.also
    dense = np.array([2.0 if number < 12 else 0.0 for number in range(N)])
    moe = np.array([2.0 if number == 3 else 0.0 for number in range(N)])
    z = scipy.stats.ttest_rel(moe, dense).statistic
    assert (pairs.method, pairs.units) == ("matched pairs", N)
    assert pairs.p == pytest.approx(2 * scipy.stats.norm.sf(abs(z)))


def test_effect_and_smallest_difference_follow_from_the_standard_error(runs: Path) -> None:
    task = the_task(compared(runs), "words")
    gaps = np.array([-2.0 if number < 12 and number != 3 else 0.0 for number in range(N)])
    error = gaps.std() / np.sqrt(N)
    assert task.tested.error == pytest.approx(error, rel=0.05)
    assert task.tested.effect == pytest.approx(gaps.mean() / gaps.std(), rel=0.05)
    # Two tests are corrected together, so each is held to 0.025.
    normal = scipy.stats.norm
    assert task.detectable == pytest.approx((normal.ppf(1 - 0.0125) + normal.ppf(0.8)) * error, rel=0.05)


def test_holm_corrects_over_the_tasks_and_pairs_that_are_compared(runs: Path, clips: Path) -> None:
    run(Talker("third", range(10)), transcription(clips), runs)
    done = compared(runs, "dense", "moe", "third")
    assert done.tests == 3
    assert [(pair.first, pair.second) for pair in done.pairs] == [("dense", "moe"), ("dense", "third")]
    raw = [task.tested.p for pair in done.pairs for task in pair.tasks]
    corrected = [task.corrected for pair in done.pairs for task in pair.tasks]
    ranks = np.argsort(raw)
    stepped = np.maximum.accumulate(np.sort(raw) * [3, 2, 1]).clip(max=1)
    assert np.array(corrected)[ranks] == pytest.approx(stepped)
    assert done.pairs[1].only == ("names (dense)",)
    assert not done.pairs[1].tasks[0].different
    assert the_task(compared(runs, tasks=("asr",)), "words").corrected == pytest.approx(raw[0])


def test_few_clusters_cannot_show_a_difference_and_that_is_said(clips: Path, tmp_path: Path) -> None:
    task = replace(transcription(clips), meta=replace(transcription(clips).meta, cluster="language"))
    run(Talker("bad", range(N)), task, tmp_path)
    run(Talker("good"), task, tmp_path)
    found = the_task(compared(tmp_path, "bad", "good"), "words")
    assert (found.tested.p, found.detectable, found.tested.effect) == (0.5, None, None)
    assert "With 2 units to exchange p is never below 0.5, so no difference can be shown." in in_words(
        found, "bad", "good"
    )
    assert "only 2 clusters" in found.tested.note


def test_slices_cover_all_samples_and_have_no_verdict(runs: Path) -> None:
    task = the_task(compared(runs, by=("language", "duration"), tasks=("words",)), "words")
    parts = {(part.by, part.value): part for part in task.slices}
    assert [parts["language", name].n for name in ("de", "en")] == [12, 12]
    assert parts["language", "de"].difference.difference == pytest.approx(-6 * 2 / 12)
    assert parts["duration", "under 1 s"].n == N
    with pytest.raises(ValueError, match=r"no task can be sliced by label; known: duration, language"):
        compared(runs, by=("label",))


def test_labels_are_slices_where_there_are_choices(clips: Path, tmp_path: Path) -> None:
    task = replace(naming(clips), doc_to_target="language", doc_to_choice=("en", "de"))
    run(Talker("german", word="de"), task, tmp_path)
    run(Talker("english", word="en"), task, tmp_path)
    found = the_task(compared(tmp_path, "german", "english", by=("label",)), "names")
    assert [(part.value, part.n, part.difference.difference) for part in found.slices] == [
        ("de", 12, -1.0),
        ("en", 12, 1.0),
    ]


def test_averages_are_macro_over_families_and_positive_where_better(runs: Path, clips: Path) -> None:
    for model in (Talker("dense", range(6)), Talker("moe", range(6))):
        run(model, replace(transcription(clips), name="words again"), runs)
    gains = {one.side: one for one in compared(runs).pairs[0].averages}
    assert gains["paralinguistic"].gain == pytest.approx(100 * 11 / 24)
    # dense's first WER is above 1, where 1 - WER ends; there is no honest interval then.
    assert gains["semantic"].gain == pytest.approx((100 * (1 - 3 / 24) + 0) / 2)
    assert gains["semantic"].low is None
    low, high = gains["paralinguistic"].low, gains["paralinguistic"].high
    assert low is not None and high is not None and low < gains["paralinguistic"].gain < high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"doc_to_text": "Say it, please."}, r"prompt \(doc_to_text 'Say it.' against 'Say it, please.'\)"),
        (
            {"generation": GenerationSettings(max_new_tokens=5)},
            r"settings \(generation.max_new_tokens 128 against 5\)",
        ),
        (
            {"metrics": (MetricSpec("wer", {"normalizer": "basic"}), MetricSpec("cer"))},
            r"scoring \(versions.metrics.wer.normalizer '\w+@1' against 'basic@1'\)",
        ),
        ({"doc_to_target": "language"}, r"data \(other references of sample 'clip-000' and 23 more\)"),
    ],
    ids=["prompt", "settings", "scoring", "data"],
)
def test_runs_made_differently_are_refused_with_what_differs(
    clips: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    run(Talker("one"), transcription(clips), tmp_path)
    run(Talker("other"), replace(transcription(clips), **change), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"cannot be compared:\n  words: one and other differ in " + message):
        compared(tmp_path, "one", "other")


def test_a_run_of_fewer_samples_is_compared_only_as_a_folder_and_then_refused(
    runs: Path, clips: Path
) -> None:
    folder = run(Talker("part"), transcription(clips), runs, limit=5)
    with pytest.raises(ValueError, match=r"unknown model 'part'.* It has only runs with --limit"):
        compared(runs, "dense", "part")
    with pytest.raises(ValueError, match=r"data \(only the first has sample 'clip-005' and 18 more\)"):
        compared(runs, "dense", str(folder))


def test_withheld_audio_is_compared_as_a_folder(runs: Path, clips: Path) -> None:
    folder = run(Talker("moe", range(N)), transcription(clips), runs, audio="silence")
    done = compared(runs, "moe", str(folder))
    assert done.pairs[0].second == "moe (audio: silence)"
    assert the_task(done, "words").different


def test_a_record_that_its_journal_does_not_bear_out_is_refused(runs: Path) -> None:
    [path] = (runs / "moe").glob("words@*/result.json")
    record = json.loads(path.read_text())
    record["metrics"]["wer,none"]["value"] = 0.5
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"wer,none is 0\.5 in the record but 0\.125 by its journal"):
        compared(runs)


def test_a_journal_that_lacks_a_sample_is_refused(runs: Path) -> None:
    [path] = (runs / "moe").glob("words@*/samples.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{**line, "more": 0} for line in lines if line["id"] != "clip-007"]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    with pytest.raises(
        ValueError, match=r"words: samples cannot be paired: only the first has sample 'clip-007'"
    ):
        compared(runs)


def test_unknown_names_and_too_few_arms_are_refused(runs: Path, clips: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown model 'mow'; did you mean 'moe'\?.*nor is it a folder"):
        compared(runs, "dense", "mow")
    with pytest.raises(ValueError, match="at least two"):
        compared(runs, "dense")
    run(Talker("lonely"), replace(transcription(clips), name="elsewhere"), runs)
    with pytest.raises(
        ValueError, match="dense and lonely have no task in common: names, words against elsewhere"
    ):
        compared(runs, "dense", "lonely")


def test_runs_in_two_places_are_found_and_a_published_copy_is_no_second_one(
    runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs, tmp_path / "results")
    arms = find_arms(["dense", "moe"], [runs, tmp_path / "results", tmp_path / "none"])
    assert [sorted(arm.runs) for arm in arms] == [["names", "words"]] * 2


def test_json_holds_everything_and_markdown_is_the_same_bytes(runs: Path) -> None:
    done = compared(runs, by=("language",))
    values = json.loads(json.dumps(comparison_json(done), allow_nan=False))
    words = next(task for task in values["pairs"][0]["tasks"] if task["task"] == "words")
    assert words["verdict"] == "moe is better"
    assert words["failures"] == [{"ok": 23, "error": 1, "empty": 0, "truncated": 0, "unparsed": 0}] * 2
    assert values["costs"]["moe"]["active_parameters"] == 200
    assert values["costs"]["moe"]["peak_memory"] > 2**20
    text = render_comparison(done)
    assert text == render_comparison(compared(runs, by=("language",)))
    assert "words: of moe's 24 answers 1 error; none is left out." in text
    assert "One training seed an arm" in text
    # A model that does not say what its projector takes gets a dash, no guess.
    assert "| moe | 300 | 200 | – |" in text
    assert "| projector FLOPs a second of audio | times real time | peak memory |" in text


def test_numbers_are_written_with_their_sign() -> None:
    assert [signed_text("wer,none", value) for value in (0.0231, -0.0231, -0.0001, 0.0)] == [
        "+2.3",
        "-2.3",
        "0.0",
        "0.0",
    ]
    assert [p_text(p) for p in (1.0, 0.0004, 0.0123)] == ["1.000", "<0.001", "0.012"]
