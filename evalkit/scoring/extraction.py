"""From a journal entry to a Prediction: the answer and a status, never a guess.

| status | when | answer |
|---|---|---|
| `error` | the response carries an error, or has no usable content | None |
| `empty` | nothing but white space | the empty text; None for choices |
| `truncated` | stopped by the token limit | the text; for choices what is found in it, or None |
| `unparsed` | no choice, or more than one, is to be found; or a filter found nothing | None |
| `ok` | otherwise | the text; the choice; the likeliest choice |

Choices that a model could not weigh come back as text; then the choice is looked for in it.
"""

from __future__ import annotations

import math

from evalkit.model import Response
from evalkit.results.record import JournalEntry, Prediction
from evalkit.scoring.choices import find_choice
from evalkit.scoring.filters import filtered, length_unit
from evalkit.scoring.spec import UNFILTERED, ScoringSpec
from evalkit.tasks.schema import FilterSpec, Status


def extract(entry: JournalEntry, spec: ScoringSpec, chain: FilterSpec = UNFILTERED) -> Prediction:
    """The prediction of one journal entry after the steps of `chain`."""
    if entry.response.error is not None or entry.response.finish_reason == "error":
        return Prediction(entry, None, "error")
    if spec.output_type == "multiple_choice" and entry.response.text is None:
        return _likeliest(entry, length_unit(chain))
    return _from_text(entry, chain)


def _likeliest(entry: JournalEntry, unit: str) -> Prediction:
    """The choice with the highest log-likelihood; of equals the first, as argmax has it."""
    scores = _scores(entry.choices, entry.response, unit)
    if not scores or len(scores) != len(entry.choices) or any(math.isnan(score) for score in scores):
        return Prediction(entry, None, "error")
    return Prediction(entry, entry.choices[scores.index(max(scores))], "ok")


def _scores(choices: tuple[str, ...], response: Response, unit: str) -> list[float]:
    lengths = _lengths(choices, response, unit)
    if len(lengths) != len(response.choice_logprobs):
        return []
    return [
        logprob / max(length, 1) for logprob, length in zip(response.choice_logprobs, lengths, strict=True)
    ]


def _lengths(choices: tuple[str, ...], response: Response, unit: str) -> list[int]:
    if unit == "tokens":
        return list(response.choice_tokens)
    return [len(choice) if unit else 1 for choice in choices]


def _from_text(entry: JournalEntry, chain: FilterSpec) -> Prediction:
    text = entry.response.text
    if text is None:
        return Prediction(entry, None, "error")
    if not text.strip():
        return Prediction(entry, None if entry.choices else "", "empty")
    truncated = entry.response.finish_reason == "length"
    answer = filtered(text, chain)
    if answer is not None and entry.choices:
        answer = find_choice(answer, entry.choices)
    if truncated:
        return Prediction(entry, answer, "truncated")
    status: Status = "unparsed" if answer is None else "ok"
    return Prediction(entry, answer, status)
