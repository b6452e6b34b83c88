"""Any Whisper by itself: it transcribes, translates into English or names the language, whatever it is asked.

The row that says whether an ASR task and its scoring can be believed, and the ears of `transcript`. Without a
`model` in its card it is the mini backbone's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from evalkit.model import Audio, Card, HintName, LoadOptions, Model, ModelInfo, Prepared, Request, Response
from model_adapters.audio_llm.encoder import MAX_WINDOW, RATE, check_audio, windows
from model_adapters.audio_llm.loading import count_stored, pick_device, pick_dtype
from model_adapters.backbone import resolve
from model_adapters.hub import check_args, fetch_weights, setting
from model_adapters.stops import until

# Part of the fingerprint: raise it whenever a change here changes a transcript.
CODE_VERSION = 1
# So many windows go through the model together, or one for each recording of the batch if that is more.
_WINDOWS = 16
# What `--model-args task=` may say; the name of a language is the answer to `language`.
TASKS = ("transcribe", "translate", "language")


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio: log-mel features [mels, 3000] of each of its 30 s windows, and its language (None: detect)."""

    mels: tuple[Tensor, ...]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """tokens: how many were generated; cut: whether a window reached the limit of new tokens."""

    text: str
    tokens: int
    cut: bool


class Recogniser:
    """Whisper on consecutive windows of 30 s, greedy, without timestamps.

    Every window is padded to 30 s, as in training, so that its transcript depends on nothing beside it.
    """

    def __init__(
        self, folder: Path, dtype: torch.dtype, device: torch.device, task: str = "transcribe"
    ) -> None:
        """`task`: "transcribe", or "translate" into English."""
        from transformers import WhisperForConditionalGeneration, WhisperProcessor
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._processor = WhisperProcessor.from_pretrained(folder)
        self._languages = languages(folder)
        self._task = task
        model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=dtype)
        model.generation_config.max_length = None  # new tokens are limited instead
        self.model: Any = model.requires_grad_(False).eval().to(device)

    def recording(self, audio: Audio, language: str | None) -> Recording:
        """Raises ValueError for audio or a language that Whisper cannot take."""
        check_audio(audio)
        # A Whisper of English alone has no codes.
        if language is not None and (self._languages or language != "en"):
            check_language(language, self._languages)
        extractor = self._processor.feature_extractor
        mels = [
            extractor(cut, sampling_rate=RATE, return_tensors="pt", max_length=MAX_WINDOW).input_features[0]
            for cut in windows(audio.samples)
        ]
        return Recording(tuple(mels), language)

    def transcribe(self, recordings: Sequence[Recording], max_new_tokens: int) -> list[Transcript]:
        """One transcript for each recording, at most `max_new_tokens` for each of its windows."""
        mels = [mel for one in recordings for mel in one.mels]
        if not mels:
            return [Transcript("", 0, cut=False) for _ in recordings]
        spoken = [one.language for one in recordings for _ in one.mels]
        # A recording of an hour has 120 windows: no more at a time than recordings were planned to go together.
        size = max(_WINDOWS, len(recordings))
        parts = [slice(start, start + size) for start in range(0, len(mels), size)]
        heard = chain.from_iterable(
            self._decode(torch.stack(mels[part]), spoken[part], max_new_tokens) for part in parts
        )
        return [_joined([next(heard) for _ in one.mels]) for one in recordings]

    @torch.inference_mode()
    def _decode(self, mels: Tensor, spoken: Sequence[str | None], max_new_tokens: int) -> list[Transcript]:
        from transformers import GenerationMixin

        encoded = self.model.get_encoder()(mels.to(self.model.device, self.model.dtype))
        prompts = self._prompts(encoded, spoken)
        room = self.model.config.max_target_positions - prompts.shape[1]
        config = copy(self.model.generation_config)
        config.max_new_tokens = min(max_new_tokens, room)
        # Whisper's own `generate` would warn of arguments that it makes itself; this is the loop inside it.
        rows = GenerationMixin.generate(
            self.model,
            encoder_outputs=encoded,
            decoder_input_ids=prompts,
            # Windows are full, so nothing is masked; not told so, `generate` guesses and warns.
            attention_mask=torch.ones(encoded[0].shape[:2], dtype=torch.long, device=encoded[0].device),
            generation_config=config,
        )
        return [self._transcript(row) for row in rows[:, prompts.shape[1] :].tolist()]

    def _prompts(self, encoded: Any, spoken: Sequence[str | None]) -> Tensor:
        """Decoder prompts [n, 4]: start, language, task, no timestamps; [n, 2] for one language alone."""
        config = self.model.generation_config
        if not self._languages:
            rows = [[config.decoder_start_token_id, config.no_timestamps_token_id] for _ in spoken]
            return torch.tensor(rows, device=self.model.device)
        chosen = [config.lang_to_id[f"<|{one}|>"] if one else None for one in spoken]
        if None in chosen:
            detected = self.model.detect_language(encoder_outputs=encoded, generation_config=config).tolist()
            chosen = [one or found for one, found in zip(chosen, detected, strict=True)]
        start, task = config.decoder_start_token_id, config.task_to_id[self._task]
        rows = [[start, language, task, config.no_timestamps_token_id] for language in chosen]
        return torch.tensor(rows, device=self.model.device)

    @torch.inference_mode()
    def language_logprobs(self, recordings: Sequence[Recording]) -> list[dict[str, float]]:
        """log p(language) of each recording's first window, by code, over the languages that Whisper knows."""
        mels = torch.stack([one.mels[0] for one in recordings])
        encoded = self.model.get_encoder()(mels.to(self.model.device, self.model.dtype))
        start = self.model.generation_config.decoder_start_token_id
        prompts = torch.full((len(recordings), 1), start, device=self.model.device)
        logits = self.model(encoder_outputs=encoded, decoder_input_ids=prompts, use_cache=False).logits[:, -1]
        codes = sorted(self._languages)
        tokens = [self.model.generation_config.lang_to_id[f"<|{code}|>"] for code in codes]
        rows = logits[:, tokens].float().log_softmax(-1).tolist()
        return [dict(zip(codes, row, strict=True)) for row in rows]

    def _transcript(self, tokens: list[int]) -> Transcript:
        end = self.model.generation_config.eos_token_id
        kept = tokens[: tokens.index(end)] if end in tokens else tokens
        text = self._processor.tokenizer.decode(kept, skip_special_tokens=True).strip()
        return Transcript(text, len(kept), cut=end not in tokens)


def _joined(parts: Sequence[Transcript]) -> Transcript:
    text = " ".join(part.text for part in parts if part.text)
    return Transcript(text, sum(part.tokens for part in parts), any(part.cut for part in parts))


class WhisperASR:
    """The recogniser under the Model protocol. The text of a request plays no part."""

    def __init__(self, recogniser: Recogniser, info: ModelInfo, language: str | None = None) -> None:
        """`language`: of all speech; None takes each task's, and detects it where the task names none."""
        self.recogniser = recogniser
        self.info = info
        self._language = language

    def prepare(self, request: Request) -> Prepared:
        if request.choices:
            raise ValueError(f"{self.info.name} transcribes speech: it cannot weigh choices")
        if request.settings.do_sample:
            raise ValueError(f"{self.info.name} decodes greedily: it cannot sample")
        if not request.audios:
            raise ValueError(f"{self.info.name} transcribes speech: there is no audio to hear")
        language = self._language or request.hints.language or None
        recordings = tuple(self.recogniser.recording(audio, language) for audio in request.audios)
        return Prepared(request, recordings, sum(len(one.mels) for one in recordings))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        """Several recordings in one request are transcribed one after the other, a line each."""
        recordings = [one for prepared in batch for one in prepared.payload]
        heard = iter(self.recogniser.transcribe(recordings, batch[0].request.settings.max_new_tokens))
        return [_response(prepared.request, [next(heard) for _ in prepared.payload]) for prepared in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise ValueError(f"{self.info.name} transcribes speech: it cannot weigh choices")


def _response(request: Request, transcripts: Sequence[Transcript]) -> Response:
    text, stopped = until("\n".join(one.text for one in transcripts), request.settings.stop)
    return Response(
        text=text,
        finish_reason="length" if any(one.cut for one in transcripts) and not stopped else "stop",
        output_tokens=sum(one.tokens for one in transcripts),
    )


def load(card: Card, options: LoadOptions) -> Model:
    """Entry point `whisper` of the group `evalkit.models`.

    `--model-args language=en` fixes the language, `task=translate` translates into English, `task=language`
    names the language.
    """
    known = info(card, options)
    task = _task(card, options)
    dtype, device = getattr(torch, known.dtype), torch.device(known.device)
    folder = _source(card, options).folder
    if task == "language":
        from model_adapters.whisper_language import WhisperLanguageId

        return WhisperLanguageId(Recogniser(folder, dtype, device), known)
    return WhisperASR(Recogniser(folder, dtype, device, task), known, setting(card, options, "language"))


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `whisper` of the group `evalkit.infos`: what is known without loading the weights."""
    check_args(card, options, "language", "task")
    task, language = _task(card, options), setting(card, options, "language")
    device = pick_device(options.device)
    source = _source(card, options)
    known = languages(source.folder)
    if language is not None and (known or language != "en"):
        check_language(language, known)
    if task != "transcribe" and not known:
        raise ValueError(f"{card.name}: this Whisper knows one language alone, so it can only transcribe")
    parameters = count_stored(source.folder, "")
    hints: tuple[HintName, ...] = ("options",) if task == "language" else ("language",)
    return ModelInfo(
        name=card.name,
        fingerprint=fingerprint(code=CODE_VERSION, language=language, **source.identity, **_changed(task)),
        device=str(device),
        dtype=str(pick_dtype(options.dtype, device)).removeprefix("torch."),
        parameters=parameters,
        active_parameters=parameters,
        sources=source.sources,
        hints=() if language else hints,
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """identity: what the fingerprint covers of the weights."""

    folder: Path
    identity: Mapping[str, str]
    sources: Mapping[str, str]


def _source(card: Card, options: LoadOptions) -> _Source:
    """The Whisper that the card names by `model`; the backbone's if it names none."""
    if "model" not in card.config:
        backbone = resolve(options.backbone)
        return _Source(backbone.whisper, {"backbone": backbone.fingerprint}, backbone.sources)
    weights = fetch_weights(card, options)
    if weights.model_type != "whisper":
        raise ValueError(f"{card.name}: {weights.source} is a {weights.model_type or 'model of no type'}")
    return _Source(weights.folder, {"weights": weights.identity}, {"weights": weights.source})


def _task(card: Card, options: LoadOptions) -> str:
    task = setting(card, options, "task") or "transcribe"
    if task not in TASKS:
        raise ValueError(f"{card.name}: task is one of {', '.join(TASKS)}, not {task!r}")
    return str(task)


def _changed(task: str) -> dict[str, str]:
    return {} if task == "transcribe" else {"task": task}


def fetch(card: Card, options: LoadOptions) -> None:
    """Entry point `whisper` of the group `evalkit.fetchers`."""
    _source(card, options)


def languages(folder: Path) -> frozenset[str]:
    """The codes of the languages that the Whisper in `folder` knows; none for one that knows English alone."""
    config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    return frozenset(token.strip("<|>") for token in config.get("lang_to_id", ()))


def check_language(language: str, known: Collection[str]) -> None:
    if language not in known:
        raise ValueError(f"Whisper knows no language {language!r}; it knows {', '.join(sorted(known))}")


def check_options(card: Card, options: LoadOptions, known: str) -> None:
    """Raises ValueError for a card with a config and for `--model-args` other than the `known` one."""
    if card.config:
        raise ValueError(f"{card.name} takes no config, but {card.path.name} has some")
    unknown = sorted(set(options.args) - {known})
    if unknown:
        raise ValueError(f"{card.name} takes no --model-args {unknown[0]}=, only {known}=")


def fingerprint(**identity: Any) -> str:
    """SHA-256 over what determines a model's answers."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
