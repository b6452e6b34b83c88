"""Eureka-Audio (arXiv 2602.13954), a Whisper encoder with a sparse MoE adapter, through its authors' own code.

Both the package `eureka_infer` and the modelling code beside the weights are run only if the user passes
`--trust-remote-code`. Prompts and decoding are those of the authors' `infer.py`: for speech recognition a
system prompt and the audio alone, for anything else no system prompt; greedy. Their interface takes audio as
files and one conversation at a time, and gives text, so choices are offered by letters.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from evalkit.model import Audio, AudioSlot, Card, LoadOptions, ModelInfo, Prepared, Request, Response
from model_adapters.drawing import drawn_by
from model_adapters.hub import check_args, fetch_weights, identify, setting
from model_adapters.letters import lettered
from model_adapters.stops import until

# Part of the fingerprint: raise it whenever a change here changes an answer.
CODE_VERSION = 1
PACKAGE = "eureka_infer.api"
SOURCE = "https://github.com/Alittleegg/Eureka-Audio"
ASR_PROMPT = "You are an advanced ASR (Automatic Speech Recognition) AI assistant."
PROMPTS = ("question", "asr")
GREEDY = {"temperature": 0.0, "top_p": 0.0, "top_k": 0, "do_sample": False}
FEATURES_PER_SECOND = 12.5


class EurekaAudio:
    """`prompt`: "asr" gives the system prompt and the audio alone, "question" the task's own text."""

    def __init__(self, model: Any, info: ModelInfo, prompt: str) -> None:
        self.info = info
        self._model = model
        self._prompt = prompt

    def prepare(self, request: Request) -> Prepared:
        if not request.audios and self._prompt == "asr":
            raise ValueError(f"{self.info.name} transcribes speech: there is no audio to hear")
        if request.choices and self._prompt == "asr":
            raise ValueError(f"{self.info.name} transcribes speech: it cannot weigh choices")
        seconds = sum(audio.seconds for audio in request.audios)
        return Prepared(request, None, 1 + round(seconds * FEATURES_PER_SECOND))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._answer(prepared.request) for prepared in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        """Responses with text and without log-likelihoods."""
        return self.generate(batch)

    def _answer(self, request: Request) -> Response:
        settings = request.settings
        sampling: dict[str, Any] = dict(GREEDY)
        if settings.do_sample:
            sampling |= {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
        with tempfile.TemporaryDirectory() as folder:
            files = [_written(audio, Path(folder), place) for place, audio in enumerate(request.audios)]
            with drawn_by(settings.seed) if settings.do_sample else nullcontext():
                text = self._model.generate(
                    self._messages(request, files), max_new_tokens=settings.max_new_tokens, **sampling
                )
        text, _ = until(str(text), settings.stop)
        return Response(text.strip())

    def _messages(self, request: Request, files: Sequence[str]) -> list[dict[str, Any]]:
        heard = [{"type": "audio_url", "audio_url": {"url": file}} for file in files]
        if self._prompt == "asr":
            told = {"role": "system", "content": [{"type": "text", "text": ASR_PROMPT}]}
            return [told, {"role": "user", "content": heard}]
        messages: list[dict[str, Any]] = [
            {
                "role": message.role,
                "content": [
                    heard[part.index] if isinstance(part, AudioSlot) else {"type": "text", "text": part}
                    for part in message.content
                ],
            }
            for message in request.messages
        ]
        if request.choices:
            messages[-1]["content"].append({"type": "text", "text": lettered(request.choices)})
        return messages


def _written(audio: Audio, folder: Path, place: int) -> str:
    import soundfile

    file = folder / f"{place}.wav"
    soundfile.write(file, audio.samples, audio.rate, subtype="FLOAT")
    return str(file)


def load(card: Card, options: LoadOptions) -> EurekaAudio:
    """Entry point `eureka_audio` of the group `evalkit.models`. `--model-args prompt=asr` for recognition."""
    known = info(card, options)
    try:
        api = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise ValueError(
            f"{card.name} needs its authors' package {PACKAGE.split('.')[0]} ({error}); install it from {SOURCE}"
        ) from error
    folder = fetch_weights(card, options).folder
    return EurekaAudio(api.EurekaAudio(str(folder), device=known.device), known, _prompt(card, options))


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `eureka_audio` of the group `evalkit.infos`: what is known without running foreign code."""
    from model_adapters.audio_llm.loading import count_stored, pick_device

    if not options.trust_remote_code:
        raise ValueError(
            f"{card.name} runs its authors' code, from their package and from beside the weights; read it, then "
            "allow it by --trust-remote-code"
        )
    check_args(card, options, "prompt")
    prompt = _prompt(card, options)
    weights = fetch_weights(card, options)
    parameters = count_stored(weights.folder, "")
    return ModelInfo(
        name=card.name,
        fingerprint=identify(weights, code=CODE_VERSION, prompt=prompt),
        device=str(pick_device(options.device)),
        dtype="bfloat16",  # their code decides
        parameters=parameters,
        active_parameters=parameters,
        sources={"weights": weights.source, "code": SOURCE},
    )


def _prompt(card: Card, options: LoadOptions) -> str:
    prompt = setting(card, options, "prompt") or PROMPTS[0]
    if prompt not in PROMPTS:
        raise ValueError(f"{card.name}: prompt is one of {', '.join(PROMPTS)}, not {prompt!r}")
    return str(prompt)
