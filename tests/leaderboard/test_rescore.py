"""Stored answers under other normalisers, extractors and metrics; where ranks flip; what is overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from talkers import Talker, run, transcription

from evalkit.leaderboard.publication import publish, verify
from evalkit.leaderboard.rescore import ANEW, STORED, Changes, Flip, flips, overwrite, rescore
from evalkit.leaderboard.stored import StoredRun, find_runs
from evalkit.results import read_result
from evalkit.tasks.schema import MetricSpec


@pytest.fixture
def shouting(clips: Path, tmp_path: Path) -> list[StoredRun]:
    """`loud` is right but shouts with punctuation; `quiet` writes as the references do and errs five times."""
    task = replace(transcription(clips), metrics=(MetricSpec("wer", {"normalizer": "basic"}),))
    run(Talker("loud", word="WORD{}!"), task, tmp_path / "runs")
    run(Talker("quiet", range(5)), task, tmp_path / "runs")
    return find_runs([tmp_path / "runs"])


def value(run_: StoredRun, changes: Changes, way: str, key: str = "wer,none") -> float:
    return rescore(run_, changes).ways[way].metrics[key].value


def test_another_normalizer_gives_another_value_and_the_recorded_one_stays(shouting: list[StoredRun]) -> None:
    loud, quiet = shouting
    changes = Changes(normalizers=("none", "lower_no_punct"))
    assert [
        value(loud, changes, way) for way in (STORED, "normalizer none", "normalizer lower_no_punct")
    ] == [
        0.0,
        1.0,
        0.0,
    ]
    assert value(quiet, changes, "normalizer none") == pytest.approx(10 / 24)
    assert read_result(loud.folder).metrics["wer,none"].value == 0.0


def test_a_flip_of_ranks_is_named_once(shouting: list[StoredRun]) -> None:
    changes = Changes(normalizers=("none", "lower_no_punct"))
    assert flips([rescore(one, changes) for one in shouting]) == [
        Flip("words", "loud", "quiet", (STORED, "wer,none"), ("normalizer none", "wer,none"))
    ]


def test_a_new_metric_is_held_against_the_first_recorded_one(shouting: list[StoredRun]) -> None:
    found = flips([rescore(one, Changes(metrics=("exact_match",))) for one in shouting])
    assert found == [Flip("words", "loud", "quiet", (STORED, "wer,none"), (ANEW, "exact_match,none"))]


def test_equal_values_are_no_flip(clips: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        run(Talker(name, [1]), transcription(clips), tmp_path)
    assert flips([rescore(one, Changes(normalizers=("none",))) for one in find_runs([tmp_path])]) == []


def test_a_regex_extracts_the_answer(clips: Path, tmp_path: Path) -> None:
    run(Talker("chatty", word="The word is word{}."), transcription(clips), tmp_path)
    [stored] = find_runs([tmp_path])
    again = rescore(stored, Changes(regex=r"The word is (\w+)")).ways[ANEW]
    assert again.metrics["wer,regex"].value == 0.0
    assert again.counts["unparsed"] == 0
    none = rescore(stored, Changes(regex=r"no such thing")).ways[ANEW]
    assert (none.metrics["wer,regex"].value, none.counts["unparsed"]) == (1.0, 24)


def test_writing_replaces_the_record_by_one_that_holds(shouting: list[StoredRun]) -> None:
    loud = shouting[0]
    with pytest.raises(ValueError, match="only one way of scoring can be written, not 2"):
        overwrite(rescore(loud, Changes(normalizers=("none", "basic"))))
    overwrite(rescore(loud, Changes(normalizers=("none",))))
    after = read_result(loud.folder)
    assert after.metrics["wer,none"].value == 1.0
    assert after.fingerprints.scoring != loud.result.fingerprints.scoring
    assert after.fingerprints.generation == loud.result.fingerprints.generation
    assert verify(loud.folder).findings == ()


def test_scoring_anew_by_the_same_rules_is_the_same_record(runs: Path) -> None:
    for stored in find_runs([runs]):
        assert rescore(stored, Changes()).ways[ANEW] == stored.result


def test_a_published_record_is_not_overwritten(runs: Path, tmp_path: Path) -> None:
    folder = publish(find_runs([runs]), tmp_path / "results").folder
    again = rescore(find_runs([folder])[0], Changes(normalizers=("none",)))
    with pytest.raises(ValueError, match="is published; rescore the run it was made from"):
        overwrite(again)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(metrics=("werr",)), "unknown metric 'werr'; did you mean 'wer'"),
        (Changes(normalizers=("nonee",)), "unknown normalizer 'nonee'; did you mean 'none'"),
        (Changes(regex="("), "regex_pattern '\\(' is not valid"),
    ],
)
def test_what_does_not_exist_is_named(runs: Path, changes: Changes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rescore(find_runs([runs])[0], changes)
