"""Tokens of a caption as the COCO evaluation has them: Penn Treebank style, lower case, no punctuation.

Follows what pycocoevalcap's PTBTokenizer (Stanford CoreNLP 3.4.1 with -preserveLines -lowerCase, then a list
of punctuation taken out) gives on ordinary captions: sentences in Latin script with contractions, quotes,
brackets, numbers, hyphens and common abbreviations. It was written from that program's behaviour; URLs,
e-mail addresses, phone numbers and mark-up are not treated specially.

Two habits of the original are kept because they move scores: brackets stay as `-lrb-` and `-rrb-`, and runs
such as `!!` stay as tokens. One is not: there the last word of a caption can depend on the next caption.
"""

from __future__ import annotations

import re

VERSION = 1

_REMOVED = frozenset(["''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";"])

_REWRITTEN = str.maketrans(
    {
        **dict.fromkeys("‘’‹›\u2009", "'"),
        **dict.fromkeys("“”«»", '"'),
        **dict.fromkeys("–—―", " -- "),
        "…": " ... ",
        "½": " 1/2 ",
        "¼": " 1/4 ",
        "¾": " 3/4 ",
        "€": " $ ",
        "£": " # ",
        "¢": " cents ",
        "\u2009": " ",
    }
)
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

_ABBREVIATIONS = """
    adj adm adv al ala alex apr ariz assn assoc attys atty aug ave bancorp bhd bldg blvd brig bros calif
    capt cf cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext
    feb fla fri ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan ky lieut lt ltd maj mar
    md messrs mfg mich minn mlle mme mo mon mont mr mrs ms mt natl neb nev nov oct okla penn pfc ph plc pres
    prof profs pte pty pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys
    tel tenn thu thurs treas tue tues univ va vs vt wed wis wisc wm wyo
"""
_CAPITAL_ABBREVIATIONS = """
    Ark Az Del Ill La Mass Miss Ore Pa Tex Wash ARK AZ DEL ILL LA MASS MISS ORE PA TEX WASH
"""
_NUMBERED_ABBREVIATIONS = "art ca fig figs no nos op pp prop"

_SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Now
    Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet
    You
"""

_MERGED = {
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "wanna": ("wan", "na"),
    "lemme": ("lem", "me"),
    "gimme": ("gim", "me"),
    "'tis": ("'t", "is"),
    "'twas": ("'t", "was"),
}


def _any(words: str) -> str:
    return "|".join(sorted(words.split(), key=len, reverse=True))


_LETTER = r"[^\W\d_]"
_PART = r"[^\W_]+(?:_[^\W_]+)*"
_WORD = rf"{_PART}(?:-{_PART})*"
_ASCII = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
_TOKEN = re.compile(
    rf"""
      \s+ | [A-Za-z]+(?![^\s,])                                        # most of a caption, for speed
    | [:;=]-?[()](?!\w)                                                # :)
    | </?[A-Za-z][\w-]*>                                               # <unk>
    | [@#][A-Za-z]\w*
    | (?i:'tis|'twas)\b
    | (?i:'n'|'(?:em|til|cause)(?!\w)) | '\d\ds\b                   # 'em, 'n', '80s
    | (?i:'(?:s|ll|re|ve|m|d))(?!\w) | (?i:n't)(?!\w)                  # clitics left over from a word
    | (?i:\b(?:{_any(_ABBREVIATIONS)})\.)(?!\w)
    | (?i:\b(?:{_any(_NUMBERED_ABBREVIATIONS)})\.)(?=\s?\d)
    | \b(?:{_any(_CAPITAL_ABBREVIATIONS)})\.(?!\w)
    | (?i:\b(?:ph|ed)\.d)\.?(?!\w)
    | \b[A-Za-z](?:\.[A-Za-z])+(?:\.(?!\w)|(?![\w.]))                  # U.S.A., a.m.
    | \b[A-Za-z]\.(?!\s*$|\s+(?:{_any(_SENTENCE_STARTS)})(?=\s|$)|{_LETTER})  # J. R. Smith
    | \b[CcFf]\#                                                       # C# and F#, not G#
    | [A-Z]+(?:&[A-Z]+)+\b                                             # R&B
    | [+-]?[.,:]?\d+(?:[.,:]\d+)+(?:-{_WORD})?                         # 1,000  10:30  3.5-inch
    | \d+/\d+(?![\w/])                                                # 1/2
    | [+-]?[.:,]?\d+(?:[-/]\d+)*(?!\w|[-/]\w)
    | (?i:y'(?=\w)) | (?i:c'mon|ma'am|ol')(?!\w) | (?i:[dol]'{_LETTER}+(?:-{_WORD})?)
    | {_WORD}\.(?=[,;:])                                               # sec., but sec.)
    | {_WORD}?(?=(?i:n't)(?!\w))                                        # do|n't
    | {_ASCII}(?:/{_ASCII})+(?![^\W_])
    | {_LETTER}+(?:[.!?]{_LETTER}+)+(?![^\W_])(?:-{_WORD})?            # no space after a full stop
    | {_WORD}
    | [?!]+ | \.+ | -+ | _+ | \S
    """,
    re.VERBOSE,
)


_PLAIN = re.compile(r"(?:[A-Za-z]+(?:-[A-Za-z]+)*,?\s+)*[A-Za-z]{2,}\.?")
_FULL_STOPS = frozenset(f"{_ABBREVIATIONS} {_CAPITAL_ABBREVIATIONS}".lower().split())


def ptb_tokens(caption: str) -> list[str]:
    """The tokens of a caption."""
    if _PLAIN.fullmatch(caption):
        words = caption.lower().rstrip(".").replace(",", " ").split()
        if words[-1] not in _FULL_STOPS and _MERGED.keys().isdisjoint(words):
            return words
    return _scan(caption)


def _scan(text: str) -> list[str]:
    if not text.isascii():
        text = "".join(char for char in text.translate(_REWRITTEN) if ord(char) < 0x10000)
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group().lower()
        if token.isalpha() and token not in _MERGED:
            tokens.append(token)
        elif not token.isspace():
            tokens.extend(_bracketed(part) for part in _MERGED.get(token, (token,)) if not _removed(part))
    return tokens


def _removed(token: str) -> bool:
    return token in _REMOVED or not token.strip(".-")


def _bracketed(token: str) -> str:
    for char, name in _BRACKETS.items():
        token = token.replace(char, name)
    return token
