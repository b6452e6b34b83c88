"""What `compare` says of arms that were trained with several seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from talkers import Talker, compared, naming, run, the_task, transcription

from evalkit.leaderboard.comparison import render_comparison
from evalkit.leaderboard.comparison.text import in_words, signed_text, verdict


def test_training_seeds_are_averaged_paired_by_number_and_take_part_in_the_interval(
    runs: Path, clips: Path
) -> None:
    for seed, wrong in ((1, 10), (2, 14)):
        run(Talker(f"dense-s{seed}", range(wrong)), transcription(clips), runs)
    for seed, wrong in ((1, 2), (2, 4), (3, 9)):
        run(Talker(f"moe-s{seed}", range(wrong)), transcription(clips), runs)
    done = compared(runs, tasks=("words",))
    task = the_task(done, "words")
    assert task.seeds == (0, 1, 2)
    spread = task.tested.spread
    # `dense` and `moe` themselves have failed on clip 23: one word left out; a wrong answer costs two.
    assert spread.first == pytest.approx((25 / 24, 20 / 24, 28 / 24))
    assert spread.second == pytest.approx((3 / 24, 4 / 24, 8 / 24))
    gaps = np.subtract(spread.second, spread.first)
    assert task.tested.difference == pytest.approx(gaps.mean())
    bounds = scipy.stats.ttest_1samp(gaps, 0).confidence_interval()
    assert task.tested.low is not None and task.tested.high is not None
    joined = (
        gaps.mean() - np.hypot(gaps.mean() - bounds.low, gaps.mean() - task.tested.low),
        gaps.mean() + np.hypot(bounds.high - gaps.mean(), task.tested.high - gaps.mean()),
    )
    assert (spread.low, spread.high) == task.tested.bounds == pytest.approx(joined)
    assert spread.note == "only 3 seeds"
    assert done.pairs[0].only == ("words, seed 3 (moe)",)
    words = in_words(task, "dense", "moe")
    assert "Over 3 training seeds" in words
    each = [signed_text("wer", two - one) for one, two in zip(spread.first, spread.second, strict=True)]
    assert f"by seed: {each[0]} (seed 0), {each[1]} (seed 1), {each[2]} (seed 2)." in words


def test_a_verdict_that_the_seeds_do_not_bear_out_says_so(clips: Path, tmp_path: Path) -> None:
    for name, wrong in (("a", 24), ("a-s1", 12), ("b", 6), ("b-s1", 12)):
        run(Talker(name, range(wrong)), transcription(clips), tmp_path)
    task = the_task(compared(tmp_path, "a", "b"), "words")
    assert task.different
    assert verdict(task, "a", "b") == "b is better, with these seeds"


def test_a_verdict_that_every_seed_bears_out_stands_alone(clips: Path, tmp_path: Path) -> None:
    for name, wrong in (("a", 24), ("a-s1", 24), ("a-s2", 24), ("b", 6), ("b-s1", 6), ("b-s2", 6)):
        run(Talker(name, range(wrong)), transcription(clips), tmp_path)
    done = compared(tmp_path, "a", "b")
    task = the_task(done, "words")
    assert task.tested.bounds == pytest.approx((task.tested.low, task.tested.high))
    assert verdict(task, "a", "b") == "b is better"
    assert "over training seeds (Student's t) and samples together" in render_comparison(done)


def test_an_average_gain_is_over_the_seeds_too(clips: Path, tmp_path: Path) -> None:
    for seed, wrong in (("", 8), ("-s1", 12), ("-s2", 10)):
        run(Talker(f"a{seed}", range(wrong)), naming(clips), tmp_path)
        run(Talker(f"b{seed}", range(4)), naming(clips), tmp_path)
    done = compared(tmp_path, "a", "b")
    (gain,) = done.pairs[0].averages
    task = the_task(done, "names")
    assert gain.seeds == 3
    assert gain.gain == pytest.approx(100 * 6 / 24)
    assert (gain.low, gain.high) == pytest.approx(tuple(100 * end for end in task.tested.bounds))


def test_an_average_over_tasks_that_have_different_seeds_has_no_interval(clips: Path, tmp_path: Path) -> None:
    one = naming(clips)
    for name, wrong in (("a", 10), ("a-s1", 12), ("b", 4), ("b-s1", 2)):
        run(Talker(name, range(wrong)), one, tmp_path)
        if "-s" not in name:
            run(Talker(name, range(wrong)), replace(one, name="again"), tmp_path)
    done = compared(tmp_path, "a", "b")
    (gain,) = done.pairs[0].averages
    assert gain.gain == pytest.approx(100 * (8 / 24 + 6 / 24) / 2)
    assert (gain.low, gain.high) == (None, None)
    assert "tasks have different training seeds" in render_comparison(done)


def test_an_average_takes_each_seeds_rate_from_0_to_1_as_the_table_does(clips: Path, tmp_path: Path) -> None:
    # Two words for one: a rate of 2 on every clip.
    for name, wrong in (("a", 24), ("a-s1", 0), ("b", 0), ("b-s1", 0)):
        run(Talker(name, range(wrong)), transcription(clips), tmp_path)
    (gain,) = compared(tmp_path, "a", "b").pairs[0].averages
    assert gain.gain == pytest.approx((100 + 0) / 2)
    assert (gain.low, gain.high) == (None, None)
