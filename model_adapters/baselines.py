"""Answers that need neither audio nor weights: what a model must beat before it has heard anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from evalkit.model import Card, LoadOptions, ModelInfo, Prepared, Request, Response

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 1

Rule = Callable[[Request], str]


class Baseline:
    """A rule that names an answer from what the task gives away. Text tasks get it as text; where choices
    are weighed, it has log-likelihood 0 and every other choice -1.
    """

    def __init__(self, rule: Rule, info: ModelInfo) -> None:
        self._rule = rule
        self.info = info

    def prepare(self, request: Request) -> Prepared:
        return Prepared(request, self._rule(request), cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [Response(text=prepared.payload) for prepared in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [_weighed(prepared.request.choices, prepared.payload) for prepared in batch]


def _weighed(choices: Sequence[str], answer: str) -> Response:
    place = choices.index(answer)
    logprobs = tuple(0.0 if index == place else -1.0 for index in range(len(choices)))
    return Response(choice_logprobs=logprobs, choice_tokens=(1,) * len(choices), finish_reason="choices")


def majority_answer(request: Request) -> str:
    """The most frequent answer of the training split, as the task names it; "" for free text without one.

    Raises ValueError where there are choices and the task names none of them.
    """
    answer, options = request.hints.majority, request.hints.options
    if options and answer not in options:
        found = (
            f"metadata.evalkit.majority is {answer!r}" if answer else "there is no metadata.evalkit.majority"
        )
        raise ValueError(
            f"{found}: the task must name the most frequent answer in its training data, one of its choices"
        )
    return answer


def random_answer(request: Request, seed: int) -> str:
    """One of the answers to choose from, uniform over seeds, questions and samples; "" for free text.

    A hash draws it rather than a generator, whose sequence may change with its version.
    """
    options = request.hints.options
    if not options:
        return ""
    texts = [part for message in request.messages for part in message.content if isinstance(part, str)]
    drawn = hashlib.sha256(json.dumps([seed, request.sample_id, texts, options]).encode()).digest()
    return options[int.from_bytes(drawn) % len(options)]


def load_majority(card: Card, options: LoadOptions) -> Baseline:
    """Entry point `majority` of the group `evalkit.models`."""
    _check(card, options)
    identity = _digest("majority", CODE_VERSION)
    return Baseline(majority_answer, ModelInfo(card.name, identity, "cpu", "", hints=("options", "majority")))


def load_random(card: Card, options: LoadOptions) -> Baseline:
    """Entry point `random` of the group `evalkit.models`. `--seed` draws other answers."""
    _check(card, options)
    identity = _digest("random", CODE_VERSION, options.seed)
    info = ModelInfo(card.name, identity, "cpu", "", hints=("options",))
    return Baseline(lambda request: random_answer(request, options.seed), info)


def _check(card: Card, options: LoadOptions) -> None:
    if options.args:
        raise ValueError(f"{card.name} takes no --model-args, but got {', '.join(sorted(options.args))}")
    if card.config:
        raise ValueError(f"{card.name} takes no config, but {card.path.name} has some")


def _digest(*parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
