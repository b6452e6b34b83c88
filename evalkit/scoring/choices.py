"""Finding the one choice that a free text names.

In this order, and the first rule that applies decides:

1. the whole text is a choice ("Happy."), or a letter of one ("B", "(b)", "B.");
2. it starts with a letter ("B) sad", "(B) because ..."), and names no other choice;
3. it has cues ("the answer is ...", "Answer: ...", "option C") and all of them name the same choice;
4. one choice, and only one, is mentioned as whole words and not negated.

Letters count by position (A is the first choice), unless choices are single letters themselves.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from evalkit.text import normalize

_WHOLE_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:,]?")
_LEADING_LETTER = re.compile(r"(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Z])[).:])(?:\s|$)")
_BRACKETED_LETTER = re.compile(r"\(([A-Z])\)")
_CUE = re.compile(
    r"\b(?:(?:answer|choice)(?:\s{1,3}(?:is|would be|must be|should be)\b)?|options?|choose|pick|select)"
    r"\s{0,3}[:=]?\s{0,3}(?=([^\n;]{1,400}))",
    re.IGNORECASE,
)
_CUE_LETTER = re.compile(r"(?:option |choice )?[(\[]?([A-Z])(?:[)\].:,]|\s*$|\s(?:because|as|since)\b)")
_SENTENCE_END = re.compile(r"[.!?](?:\s|$)")
_NEGATED = re.compile(
    r"\b(?:not|never|no|neither|nor|without|isnt|wasnt|arent|doesnt|dont|cannot|cant|than|instead of|nothing)"
    r"(?: (?:be|being|a|an|the|really|very|at all|sound|sounding|seem|like|that|of))* ?$"
)
_NEGATION_REACH = 40
_WRAPPING = "*_`\"'“”‘’ \n\t"


def find_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice that `text` names; None if it names none, more than one, or only negates one.

    Takes time linear in the text, however hostile.
    """
    text = text.strip(_WRAPPING)
    finder = _finder(tuple(choices))
    for rule in (finder.whole, finder.leading, finder.cued, finder.mentioned):
        found = rule(text)
        if found:
            return choices[min(found)] if len({choices[index] for index in found}) == 1 else None
    return None


class _Finder:
    """The rules over one list of choices; each returns the indices it saw, empty if it does not apply."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.choices = choices
        self.normal = normalize("lower_no_punct")
        self.indices: dict[str, set[int]] = {}
        for index, choice in enumerate(choices):
            self.indices.setdefault(self.normal(choice) or choice.strip(), set()).add(index)
        single = [choice.strip().upper() for choice in choices]
        in_order = single == [chr(ord("A") + index) for index in range(len(choices))]
        self.letters = in_order or all(len(choice) != 1 for choice in single)
        longest_first = sorted((key for key in self.indices if len(key) > 1), key=len, reverse=True)
        self.mention = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)")

    def whole(self, text: str) -> set[int]:
        if text in self.choices:
            return {self.choices.index(text)}
        found = self.indices.get(self.normal(text) or text)
        if found:
            return found
        match = _WHOLE_LETTER.fullmatch(text)
        return self._letter(match.group(1)) if match else set()

    def leading(self, text: str) -> set[int]:
        match = _LEADING_LETTER.match(text)
        if not match:
            return set()
        found = self._letter(next(group for group in match.groups() if group))
        return found | self._mentions(text[match.end() :]) if found else set()

    def cued(self, text: str) -> set[int]:
        found: set[int] = set()
        for said in {match.group(1).strip(_WRAPPING) for match in _CUE.finditer(text)}:
            letter = _CUE_LETTER.match(said)
            index = self._letter(letter.group(1)) if letter else set()
            sentence = _SENTENCE_END.split(said)[0]
            found |= self.whole(sentence) or index | self._mentions(said if index else sentence)
        return found

    def mentioned(self, text: str) -> set[int]:
        letters = {index for letter in set(_BRACKETED_LETTER.findall(text)) for index in self._letter(letter)}
        return letters | self._mentions(text)

    def _letter(self, letter: str) -> set[int]:
        index = ord(letter.upper()) - ord("A")
        return {index} if self.letters and index < len(self.choices) else set()

    def _mentions(self, text: str) -> set[int]:
        """Choices that stand in the text as whole words, a longer one hiding those within it.

        Single letters are no mention ("a" is an article). A negated mention names nothing, unless another
        choice stands beside it: then the text is ambiguous.
        """
        key = self.normal(text)
        found: set[int] = set()
        affirmed = False
        for match in self.mention.finditer(key):
            found |= self.indices[match.group()]
            before = key[max(0, match.start() - _NEGATION_REACH) : match.start()]
            affirmed = affirmed or not _NEGATED.search(before)
        return found if affirmed else set()


@functools.lru_cache(maxsize=256)
def _finder(choices: tuple[str, ...]) -> _Finder:
    return _Finder(choices)
