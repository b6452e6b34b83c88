"""Answers made elsewhere: a JSONL file scored under the same contract as any model.

One object a line: `id`, the sample's, and `prediction`, a text (or null for a failure). For tasks that weigh
choices a line may have `choice_logprobs` instead, one number for each choice in the task's order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.artifacts import file_sha256
from evalkit.model import Card, LoadOptions, ModelInfo, Prepared, Request, Response
from model_adapters.stops import until

CODE_VERSION = 1
KEYS = ("id", "prediction", "choice_logprobs")
SHOWN = 5


class Predictions:
    """Gives every sample the answer that the file has for its id."""

    def __init__(self, answers: Mapping[str, Response], info: ModelInfo) -> None:
        self.info = info
        self._answers = answers

    def prepare(self, request: Request) -> Prepared:
        answer = self._answers.get(request.sample_id)
        if answer is None:
            raise ValueError(f"{self.info.name} has no prediction for the sample {request.sample_id!r}")
        return Prepared(request, answer, cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [_stopped(prepared.payload, prepared.request) for prepared in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [prepared.payload for prepared in batch]


def load(card: Card, options: LoadOptions) -> Predictions:
    """Entry point `predictions` of the group `evalkit.models`: `--model predictions:FILE`."""
    return Predictions(read_predictions(_file(card)), info(card, options))


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `predictions` of the group `evalkit.infos`."""
    if options.args:
        raise ValueError(f"{card.name} takes no --model-args, but got {', '.join(sorted(options.args))}")
    file = _file(card)
    digest = file_sha256(file)
    source = f"{file.name} sha256:{digest}"
    return ModelInfo(card.name, f"{CODE_VERSION}:{digest}", "", "", sources={"predictions": source})


def read_predictions(file: Path) -> dict[str, Response]:
    """The answers by sample id. ValueError lists the first lines that cannot be read."""
    answers: dict[str, Response] = {}
    mistakes: list[str] = []
    for number, line in enumerate(file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            name, answer = _answer(line)
            if name in answers:
                raise ValueError(f"id {name!r} stands there twice")
            answers[name] = answer
        except ValueError as error:
            mistakes.append(f"line {number}: {error}")
    if mistakes:
        more = f"\n  and {len(mistakes) - SHOWN} more" if len(mistakes) > SHOWN else ""
        raise ValueError(f"{file}: cannot be read\n  " + "\n  ".join(mistakes[:SHOWN]) + more)
    if not answers:
        raise ValueError(f"{file}: holds no predictions")
    return answers


def _file(card: Card) -> Path:
    if sorted(card.config) != ["model"]:
        raise ValueError(f"{card.name}: its config needs `model`, the JSONL file, and nothing else")
    file = card.path.parent / Path(str(card.config["model"])).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {file}")
    return file


def _answer(line: bytes) -> tuple[str, Response]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("is not JSON") from error
    if not isinstance(row, dict) or "id" not in row or not {"prediction", "choice_logprobs"} & row.keys():
        raise ValueError("needs an object with id and prediction (or choice_logprobs)")
    name = str(row["id"])
    if "choice_logprobs" in row:
        return name, Response(choice_logprobs=_numbers(row["choice_logprobs"]), finish_reason="choices")
    given = row["prediction"]
    if given is None:
        return name, Response(finish_reason="error", error="the prediction is null")
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise ValueError(f"prediction must be a text, not {type(given).__name__}")
    return name, Response(str(given))


def _numbers(given: Any) -> tuple[float, ...]:
    if not isinstance(given, list) or not all(type(one) in (int, float) for one in given):
        raise ValueError("choice_logprobs must be a list of numbers")
    return tuple(map(float, given))


def _stopped(answer: Response, request: Request) -> Response:
    if answer.text is None:
        return answer
    return Response(until(answer.text, request.settings.stop)[0])
