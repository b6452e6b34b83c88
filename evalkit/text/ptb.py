"""Tokens of a caption as the COCO evaluation has them: Penn Treebank style, lower case, no punctuation.

Follows what pycocoevalcap's PTBTokenizer (Stanford CoreNLP 3.4.1 with -preserveLines -lowerCase, then a list of
punctuation taken out) gives on ordinary captions: sentences in Latin script with contractions, quotes,
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
    adj adm adv al ala alex apr ariz assn assoc attys atty aug ave bancorp bhd bldg blvd brig bros calif capt cf
    cie cmdr co col colo comdr conn corp cos cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri
    ft ga gen gov govs hon inc ind insp intl invt jan jos jr jul jun kan ky lieut lt ltd maj mar md messrs mfg
    mich minn mlle mme mo mon mont mr mrs ms mt natl neb nev nov oct okla penn pfc ph plc pres prof profs pte
    pty pvt rd rep reps rev rt sen sens sep sept seq sfc sgt spc sq sr st ste supt supts sys tel tenn thu thurs
    treas tue tues univ va vs vt wed wis wisc wm wyo
""".split()
_CAPITAL_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash".split()
_NUMBERED_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

_SENTENCE_STARTS = """
    A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Now
    Once One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You
""".split()

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


def _any(words: list[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_LETTER = r"[^\W\d_]"
_WORD = r"[^\W_]+(?:[_/][^\W_]+)*"
_TOKEN = re.compile(
    rf"""
      [:;=]-?[()](?!\w)                                                # :)
    | </?[A-Za-z][\w-]*>                                               # <unk>
    | [@#][A-Za-z]\w*
    | (?i:'tis|'twas)\b
    | (?i:'(?:em|til|cause|cos|n')(?!\w)) | '\d\ds\b                   # 'em, 'n', '80s
    | (?i:'(?:s|ll|re|ve|m|d))(?!\w) | (?i:n't)(?!\w)                  # clitics left over from a word
    | (?i:\b(?:{_any(_ABBREVIATIONS)})\.)(?!\w)
    | (?i:\b(?:{_any(_NUMBERED_ABBREVIATIONS)})\.)(?=\s?\d)
    | \b(?:{_any(_CAPITAL_ABBREVIATIONS + [word.upper() for word in _CAPITAL_ABBREVIATIONS])})\.(?!\w)
    | (?i:\b(?:ph|ed)\.d)\.?(?!\w)
    | \b[A-Za-z](?:\.[A-Za-z])+(?:\.(?!\w)|(?![\w.]))                  # U.S.A., a.m.
    | \b[A-Za-z]\.(?=\s+\S)(?!\s+(?:{_any(_SENTENCE_STARTS)})\b)       # J. R. Smith
    | [A-Z]+(?:&[A-Z]+)+\b                                             # R&B
    | (?<![^\W_])[+-]?[.,:]?\d+(?:[.,:]\d+)+(?:-{_WORD})*              # 1,000  10:30  3.5-inch
    | (?<![^\W_])\d+/\d+(?![\w/])                                      # 1/2
    | (?<![^\W_])[+-]?[.:,]?\d+(?:[-/]\d+)*(?![\w])
    | (?i:y'(?=all\b)) | (?i:c'mon|ma'am|ol')(?!\w) | (?i:[dol]'{_LETTER}+(?:-{_WORD})*)
    | {_WORD}(?:[-.!?]{_WORD})*?(?=(?i:n't)(?!\w))                     # do|n't
    | {_WORD}(?:[-.!?&]?(?:(?<=[-.!?]){_WORD}))*
    | [?!]+ | \.+ | -+ | _+ | \S
    """,
    re.VERBOSE,
)


def ptb_tokens(caption: str) -> list[str]:
    """The tokens of a caption."""
    text = "".join(char for char in caption.translate(_REWRITTEN) if ord(char) < 0x10000)
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = match.group().lower()
        for part in _MERGED.get(token, (token,)):
            if part not in _REMOVED and not part.strip(".") == "" and not part.strip("-") == "":
                tokens.append(_bracketed(part))
    return tokens


def _bracketed(token: str) -> str:
    for char, name in _BRACKETS.items():
        token = token.replace(char, name)
    return token
