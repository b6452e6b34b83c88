"""Whisper as a language identifier: its first token after the start names the language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.model import ModelInfo, Prepared, Request, Response
from model_adapters.whisper import Recogniser


class WhisperLanguageId:
    """The language of the speech: its English name ("French"), or the likelihood of each choice."""

    def __init__(self, recogniser: Recogniser, info: ModelInfo) -> None:
        from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

        self.recogniser = recogniser
        self.info = info
        self._names: Mapping[str, str] = LANGUAGES
        self._codes: Mapping[str, str] = {**TO_LANGUAGE_CODE, **{code: code for code in LANGUAGES}}

    def prepare(self, request: Request) -> Prepared:
        if len(request.audios) != 1:
            raise ValueError(
                f"{self.info.name} names the language of one recording, not {len(request.audios)}"
            )
        offered = request.choices or request.hints.options
        unknown = [choice for choice in offered if choice.strip().lower() not in self._codes]
        if unknown:
            raise ValueError(f"{self.info.name} names languages, and {unknown[0]!r} is none that it knows")
        recording = self.recogniser.recording(request.audios[0], None)
        return Prepared(request, replace(recording, mels=recording.mels[:1]), 1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        """The likeliest of the task's options, or of all languages where it has none."""
        heard = self.recogniser.language_logprobs([prepared.payload for prepared in batch])
        return [
            Response(self._likeliest(prepared.request, known))
            for prepared, known in zip(batch, heard, strict=True)
        ]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        heard = self.recogniser.language_logprobs([prepared.payload for prepared in batch])
        return [
            Response(
                choice_logprobs=tuple(known[self._code(choice)] for choice in prepared.request.choices),
                choice_tokens=(1,) * len(prepared.request.choices),
                finish_reason="choices",
            )
            for prepared, known in zip(batch, heard, strict=True)
        ]

    def _likeliest(self, request: Request, known: Mapping[str, float]) -> str:
        options = request.hints.options
        if options:
            return max(options, key=lambda option: known[self._code(option)])
        return self._names[max(known, key=known.__getitem__)].title()

    def _code(self, name: str) -> str:
        return self._codes[name.strip().lower()]
