"""Named, versioned text normalisers.

| name | what it does |
|---|---|
| `none` | nothing |
| `basic` | Whisper's BasicTextNormalizer: lower case, brackets and their content, symbols and marks removed |
| `basic_no_space` | `basic` without any white space: for CER of Chinese and Japanese |
| `whisper_en` | Whisper's EnglishTextNormalizer: `basic` plus numbers, contractions, British spellings |
| `lower_no_punct` | lower case, punctuation to spaces; made for labels and short answers |

`basic` and `whisper_en` are the package whisper-normalizer (Radford et al. 2022, appendix C). A text whose
numbers have thousands of digits, which its arithmetic refuses, is normalised by `basic` in place of `whisper_en`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping

from evalkit.text.suggest import unknown

Normalizer = Callable[[str], str]

_DROPPED = "'’ʼ"
_KEPT = "#%&"
_SIGN = re.compile(r"(?<![\w)])-(?=\d)")
_SIGN_MARK = "\ue000"
_LONG = 1_000
_BLANKS = re.compile(r"\s+")


def normalize(name: str) -> Normalizer:
    """The normaliser called `name`. ValueError names the nearest one if there is none."""
    if name not in _FACTORIES:
        raise ValueError(unknown("normalizer", name, _FACTORIES))
    return _FACTORIES[name]()


def versioned(name: str) -> str:
    """`name@version`, for scoring fingerprints."""
    if name not in NORMALIZERS:
        raise ValueError(unknown("normalizer", name, NORMALIZERS))
    return f"{name}@{NORMALIZERS[name]}"


def lower_no_punct(text: str) -> str:
    """Lower-case NFKC text, punctuation to spaces, runs of white space to one space.

    Apostrophes vanish (`don't` -> `dont`). `#`, `%`, `&` and the sign of a number stay: they tell labels
    apart (C and C#, 5 and -5).
    """
    text = _SIGN.sub(_SIGN_MARK, unicodedata.normalize("NFKC", text).lower())
    if text.isascii() and text.replace(" ", "").isalnum():
        return " ".join(text.split())
    return " ".join("".join(map(_without_punctuation, text)).split()).replace(_SIGN_MARK, "-")


def _without_punctuation(char: str) -> str:
    if char in _DROPPED:
        return ""
    if char in _KEPT or unicodedata.category(char)[0] != "P":
        return char
    return " "


def _unchanged(text: str) -> str:
    return text


def _tamed(text: str) -> str:
    """A text with the same normal form, for which Whisper's patterns need no time quadratic in its length.

    They search for a closing bracket after every opening one, and for an apostrophe after every blank. Where
    none follows, an opening bracket is a symbol like any other, and a run of blanks is one.
    """
    if len(text) < _LONG:
        return text
    text = _BLANKS.sub(" ", text)
    for opening, closing in (("(", ")"), ("<[", ">]")):
        end = 1 + max(text.rfind(sign) for sign in closing)
        text = text[:end] + text[end:].translate(dict.fromkeys(map(ord, opening), "{"))
    return text


@functools.cache
def _whisper_basic() -> Normalizer:
    from whisper_normalizer.basic import BasicTextNormalizer

    normalizer: Normalizer = BasicTextNormalizer()
    return lambda text: normalizer(_tamed(text)).strip()


@functools.cache
def _whisper_basic_no_diacritics() -> Normalizer:
    from whisper_normalizer.basic import BasicTextNormalizer

    normalizer: Normalizer = BasicTextNormalizer(remove_diacritics=True)
    return lambda text: normalizer(_tamed(text)).strip()


@functools.cache
def _whisper_basic_no_space() -> Normalizer:
    basic = _whisper_basic()
    return lambda text: "".join(basic(text).split())


@functools.cache
def _whisper_english() -> Normalizer:
    from whisper_normalizer.english import EnglishTextNormalizer

    normalizer: Normalizer = EnglishTextNormalizer()
    basic = _whisper_basic_no_diacritics()

    def normal(text: str) -> str:
        try:
            return normalizer(_tamed(text)).strip()
        except (AssertionError, ValueError, ArithmeticError):
            return basic(text)

    return normal


NORMALIZERS: Mapping[str, int] = {
    "none": 1,
    "basic": 1,
    "basic_no_diacritics": 1,
    "basic_no_space": 1,
    "whisper_en": 1,
    "lower_no_punct": 1,
}

_FACTORIES: Mapping[str, Callable[[], Normalizer]] = {
    "none": lambda: _unchanged,
    "basic": _whisper_basic,
    "basic_no_diacritics": _whisper_basic_no_diacritics,
    "basic_no_space": _whisper_basic_no_space,
    "whisper_en": _whisper_english,
    "lower_no_punct": lambda: lower_no_punct,
}
