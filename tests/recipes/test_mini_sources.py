"""The small readers and helpers of the mini recipes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from recipes.mini import abc, audio, midi, near
from recipes.mini.text import Exclusion, near_groups, normalise

TUNE = """X:1
T:A Tune
M:6/8
L:1/8
R:jig
K:G
|:G>AB c2d|(3efg f- f2z|^F3 F,3:|
"""


def test_abc_reads_pitches_and_lengths() -> None:
    tune = abc.read(TUNE)
    assert [n.pitch for n in tune.notes] == [67, 69, 71, 72, 74, 76, 78, 79, 78, 66, 54]
    assert [n.length for n in tune.notes[:3]] == [Fraction(3, 4), Fraction(1, 4), Fraction(1, 2)]
    assert tune.notes[5].length == Fraction(1, 3)
    assert tune.notes[8].length == Fraction(3, 2)  # two tied notes are one
    assert (tune.tonic, tune.mode, tune.meter, tune.rhythm) == ("G", "", "6/8", "jig")


@pytest.mark.parametrize("change", ["M:7/8", "K:H", "L:1/8\nL:1/16"])
def test_abc_refuses_what_it_cannot_read(change: str) -> None:
    letter = change[0]
    lines = [change if line.startswith(letter + ":") else line for line in TUNE.splitlines()]
    with pytest.raises(ValueError):
        abc.read("\n".join(lines))


def test_midi_file_holds_every_note() -> None:
    tune = abc.read(TUNE)
    data = midi.smf(tune, tune.notes, program=40, beats_per_minute=90)
    assert data.startswith(b"MThd") and data.count(b"\xc0\x28") == 1
    assert sum(data.count(bytes([0x90, n])) for n in {n.pitch for n in tune.notes}) == len(tune.notes)


def test_the_same_recording_is_found_at_another_level_and_shifted() -> None:
    rng = np.random.default_rng(0)
    envelope = np.sin(np.linspace(0, np.pi, 16_000)) ** 2
    first, other = (
        (np.cumsum(rng.standard_normal(16_000)) * envelope / 100).astype(np.float32) for _ in range(2)
    )
    copy = np.concatenate([np.zeros(800, np.float32), first * 0.3])
    assert [(i, j) for i, j, _ in near.same_pairs([first, other, copy])] == [(0, 2)]


def test_encoding_a_clip_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    x = np.sin(np.arange(16_000) / 20).astype(np.float32) / 2
    try:
        audio.encode(x, tmp_path / "a" / "clip.opus")
    except FileNotFoundError:
        pytest.skip("opusenc is not installed")
    audio.encode(x, tmp_path / "b" / "clip.opus")
    assert (tmp_path / "a" / "clip.opus").read_bytes() == (tmp_path / "b" / "clip.opus").read_bytes()
    assert abs(len(audio.load(tmp_path / "a" / "clip.opus")) - len(x)) < 100


def test_texts_too_close_to_a_test_text_are_kept_out() -> None:
    exclusion = Exclusion({normalise("Press 7 to delete this message."), "goodbye"})
    assert exclusion.hits("press 7 to delete this message")
    assert exclusion.hits("Please press 7 to delete this message now.")
    assert exclusion.hits("Press 5 to delete this message")
    assert exclusion.hits("Goodbye!")
    assert not exclusion.hits("Goodbye and thank you.")
    assert not exclusion.hits("Press 7 for the next menu.")


def test_near_equal_texts_share_a_group() -> None:
    groups = near_groups(["press 1 to hear it now", "press 2 to hear it now", "hello"])
    assert groups["press 1 to hear it now"] == groups["press 2 to hear it now"] != groups["hello"]
