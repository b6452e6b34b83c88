"""Read the notes of a one-voice tune in ABC notation (https://abcnotation.com/wiki/abc:standard:v2.1).

Repeats are not unfolded; grace notes, ornaments and chord symbols are left out. A tune that uses anything
else (chords, changes of key or metre) is refused with ValueError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTAL = {"^": 1, "_": -1, "=": 0}
SHARPS = "FCGDAEB"
# Sharps of the major key on each note; a mode shifts them.
MAJOR = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F": -1, "Bb": -2, "Eb": -3, "Ab": -4}
MODES = {"": 0, "maj": 0, "m": -3, "min": -3, "dor": -2, "mix": -1, "lyd": 1, "phr": -4}
# Quarter notes in a beat and in a bar.
BEAT = {m: Fraction(n, 2) for m, n in {"C|": 4, "C": 2, "2/4": 2, "4/4": 2, "6/8": 3, "9/8": 3}.items()}
BAR = {m: Fraction(n, 2) for m, n in {"C|": 8, "C": 8, "2/4": 4, "4/4": 8, "6/8": 6, "9/8": 9}.items()}
TOKEN = re.compile(
    r"(?P<bar>\|[\]|:\d]*|:+\|?[\]|]*)"
    r"|\((?P<tuplet>[23])"
    r"|(?P<accidental>\^|_|=)?(?P<note>[A-Ga-gz])(?P<octave>[,']*)(?P<length>\d*/*\d*)(?P<tie>-)?"
    r"|(?P<broken>[<>])"
    r"|(?P<skip>[ ()\\`]|\[\d)"
)
TEXT = re.compile(r'"[^"]*"|!\w+!|\{[^}]*\}|%.*')
ORNAMENTS = re.compile(r"[uvTSHOMPLkrtnU~.]")


@dataclass(frozen=True)
class Note:
    """Onset and length in quarter notes; `bar_at` is the place within the bar; pitch is a MIDI number."""

    onset: Fraction
    length: Fraction
    bar_at: Fraction
    pitch: int


@dataclass(frozen=True)
class Tune:
    """Header fields and notes."""

    title: str
    rhythm: str
    meter: str
    tonic: str
    mode: str
    notes: tuple[Note, ...]


def _key(text: str) -> tuple[str, str, dict[str, int]]:
    """Tonic, mode and the accidentals of a key signature."""
    match = re.match(r"([A-G]b?)\s*([A-Za-z]*)", text)
    if match is None:
        raise ValueError(f"key {text!r}")
    tonic = match[1]
    mode = match[2].lower()[:3]
    mode = "m" if match[2] == "m" else "" if match[2] == "M" else mode
    if mode not in MODES or tonic not in MAJOR:
        raise ValueError(f"key {text!r}")
    sharps = MAJOR[tonic] + MODES[mode]
    marks = dict.fromkeys(SHARPS[:sharps], 1) if sharps > 0 else dict.fromkeys(SHARPS[sharps:], -1)
    return tonic, mode, marks if sharps else {}


def _length(text: str, unit: Fraction) -> Fraction:
    if not text:
        return unit
    top, slashes, bottom = re.fullmatch(r"(\d*)(/*)(\d*)", text).groups()  # type: ignore[union-attr]
    value = unit * int(top or 1)
    return value / int(bottom) if bottom else value / 2 ** len(slashes)


def _header(text: str) -> tuple[dict[str, str], str]:
    fields: dict[str, str] = {}
    body = []
    for line in text.splitlines():
        match = re.match(r"([A-Za-z]):\s*(.*?)\s*$", line)
        if match is None:
            body.append(TEXT.sub("", line))
            continue
        if match[1] in "KML" and match[1] in fields:
            raise ValueError(f"{match[1]} changes within the tune")
        fields.setdefault(match[1], match[2].split("%")[0].strip())
    return fields, ORNAMENTS.sub("", "".join(body))


class _Reader:
    """Walks over the tokens of a body."""

    def __init__(self, unit: Fraction, marks: dict[str, int]) -> None:
        self.unit, self.marks = unit, marks
        self.notes: list[Note] = []
        self.local: dict[str, int] = {}
        self.at = self.bar_start = Fraction(0)
        self.tuplet = 0
        self.scale = Fraction(1)
        self.next_scale = Fraction(1)
        self.tied = False

    def bar(self) -> None:
        self.bar_start = self.at
        self.local = {}

    def broken(self, sign: str) -> None:
        """Lengthen one of two neighbours by half, shorten the other."""
        first, second = (Fraction(3, 2), Fraction(1, 2)) if sign == ">" else (Fraction(1, 2), Fraction(3, 2))
        if not self.notes:
            raise ValueError("a broken rhythm without a note before it")
        last = self.notes.pop()
        self.at = last.onset + last.length * first
        self.notes.append(Note(last.onset, last.length * first, last.bar_at, last.pitch))
        self.next_scale = second

    def note(self, match: re.Match[str]) -> None:
        length = _length(match["length"], self.unit) * self.next_scale
        self.next_scale = Fraction(1)
        if self.tuplet:
            length *= self.scale
            self.tuplet -= 1
        name = match["note"]
        if name != "z":
            self._sound(match, name, length)
        self.at += length
        self.tied = bool(match["tie"]) and name != "z"

    def _sound(self, match: re.Match[str], name: str, length: Fraction) -> None:
        letter = name.upper()
        octave = 5 + name.islower() + match["octave"].count("'") - match["octave"].count(",")
        place = f"{letter}{octave}"
        if match["accidental"]:
            self.local[place] = ACCIDENTAL[match["accidental"]]
        pitch = 12 * octave + PITCH[letter] + self.local.get(place, self.marks.get(letter, 0))
        if self.tied and self.notes and self.notes[-1].pitch == pitch:
            last = self.notes.pop()
            self.notes.append(Note(last.onset, last.length + length, last.bar_at, pitch))
        else:
            self.notes.append(Note(self.at, length, self.at - self.bar_start, pitch))


def read(text: str) -> Tune:
    """The tune in an ABC file."""
    fields, body = _header(text)
    if fields.get("M") not in BEAT:
        raise ValueError(f"metre {fields.get('M')!r}")
    tonic, mode, marks = _key(fields.get("K", ""))
    reader = _Reader(4 * Fraction(fields.get("L", "1/8")), marks)
    position = 0
    while position < len(body):
        match = TOKEN.match(body, position)
        if match is None:
            raise ValueError(f"cannot read {body[position : position + 10]!r}")
        position = match.end()
        if match["bar"]:
            reader.bar()
        elif match["tuplet"]:
            reader.tuplet = int(match["tuplet"])
            reader.scale = Fraction(2, 3) if reader.tuplet == 3 else Fraction(3, 2)
        elif match["broken"]:
            reader.broken(match["broken"])
        elif match["note"]:
            reader.note(match)
    rhythm = fields.get("R", "").lower()
    return Tune(fields.get("T", ""), rhythm, fields["M"], tonic, mode, tuple(reader.notes))
