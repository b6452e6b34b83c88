"""One adapter for every chat model whose processor takes audio in `apply_chat_template`.

Processors differ in what they call their inputs, and some ignore audio that comes under a name they do not
know. So audio is given inside the conversation, where all look for it, and an input that holds nothing of
it is refused. Templates that know texts alone are given a mark where the audio stands.
"""

from __future__ import annotations

import base64
import inspect
import io
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evalkit.model import Audio, Message, ModelInfo, Prepared, Request, Response
from model_adapters.drawing import drawn_by
from model_adapters.stops import until

Conversation = list[dict[str, Any]]
Inputs = Mapping[str, Tensor]
FEATURES_PER_SECOND = 12.5
CHARACTERS_PER_TOKEN = 4
# Processors that take audio as a file in base64, and not as samples.
TAKES_FILES = frozenset(["VoxtralProcessor"])
PADDING = {"padding": True, "padding_side": "left"}
# Inputs of the text, which grow with the tokens.
PER_TOKEN = {"attention_mask": 1, "token_type_ids": 0, "mm_token_type_ids": 0}


@dataclass(frozen=True, slots=True)
class Asked:
    conversation: Conversation
    choices: tuple[tuple[int, ...], ...]


class ChatModel:
    """Greedy or sampled text, and choices by their log-likelihood after the prompt."""

    def __init__(
        self, model: Any, processor: Any, info: ModelInfo, *, batched: bool = True, mark: str = ""
    ) -> None:
        """`batched`: False runs one sample at a time, for classes whose batches differ from singles.

        `mark`: what stands for audio in the text, for chat templates that take texts alone.
        """
        self.info = info
        self._model = model
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._rate = int(_audio_part(processor).sampling_rate)
        self._batched = batched
        self._mark = mark
        self._sound = _as_file if type(processor).__name__ in TAKES_FILES else _as_samples
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._tokenizing = threading.Lock()

    def prepare(self, request: Request) -> Prepared:
        for audio in request.audios:
            self._check(audio)
        conversation = [_turn(message, request.audios, self._sound) for message in request.messages]
        choices = tuple(self._tokens(choice) for choice in request.choices)
        length = sum(audio.seconds for audio in request.audios) * FEATURES_PER_SECOND
        length += sum(len(part) for turn in conversation for part in _texts(turn)) / CHARACTERS_PER_TOKEN
        return Prepared(request, Asked(conversation, choices), 1 + round(length))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        # Each sample is drawn by its own seed, whatever else is in the batch.
        alone = not self._batched or batch[0].request.settings.do_sample
        if alone and len(batch) > 1:
            return [self._generated([one])[0] for one in batch]
        return self._generated(batch)

    @torch.inference_mode()
    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._weighed(prepared) for prepared in batch]

    @torch.inference_mode()
    def _generated(self, batch: Sequence[Prepared]) -> list[Response]:
        settings = batch[0].request.settings
        inputs = self.inputs([prepared.payload.conversation for prepared in batch])
        sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if settings.do_sample:
            sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
        with drawn_by(settings.seed) if settings.do_sample else nullcontext():
            rows = self._model.generate(**inputs, max_new_tokens=settings.max_new_tokens, **sampling)
        prompt = inputs["input_ids"].shape[1]
        lengths = inputs["attention_mask"].sum(-1).tolist()
        return [
            self._response(prepared.request, row, length)
            for prepared, row, length in zip(batch, rows[:, prompt:].tolist(), lengths, strict=True)
        ]

    def _response(self, request: Request, row: list[int], prompt: int) -> Response:
        ends = self._stop_tokens()
        end = next((place for place, token in enumerate(row) if token in ends), len(row))
        text = self._tokenizer.decode(row[:end], skip_special_tokens=True)
        text, stopped = until(text, request.settings.stop)
        cut = end >= request.settings.max_new_tokens and not stopped
        return Response(
            text, finish_reason="length" if cut else "stop", input_tokens=prompt, output_tokens=end
        )

    def _weighed(self, prepared: Prepared) -> Response:
        asked: Asked = prepared.payload
        scores, prompt = self._likelihoods(asked.conversation, asked.choices)
        return Response(
            choice_logprobs=tuple(scores),
            choice_tokens=tuple(map(len, asked.choices)),
            finish_reason="choices",
            input_tokens=prompt,
        )

    def _likelihoods(
        self, conversation: Conversation, choices: Sequence[Sequence[int]]
    ) -> tuple[list[float], int]:
        """As `_together`, in halves where the memory does not hold all choices of a sample at a time."""
        try:
            return self._together(conversation, choices)
        except torch.OutOfMemoryError:
            if len(choices) == 1:
                raise
        # Out of the except clause the failed call's tensors are gone.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        half = (len(choices) + 1) // 2
        first, prompt = self._likelihoods(conversation, choices[:half])
        return first + self._likelihoods(conversation, choices[half:])[0], prompt

    def _together(
        self, conversation: Conversation, choices: Sequence[Sequence[int]]
    ) -> tuple[list[float], int]:
        """log p(choice | prompt), nats, summed over the choice's tokens, of each; and the prompt's length.

        The prompt stands once for each choice, so that no padding comes before it.
        """
        inputs = dict(self.inputs([conversation] * len(choices)))
        prompt = inputs["input_ids"].shape[1]
        longest = max(map(len, choices))
        continuation = inputs["input_ids"].new_zeros(len(choices), longest)
        present = torch.zeros_like(continuation)
        for row, choice in enumerate(choices):
            continuation[row, : len(choice)] = torch.tensor(choice)
            present[row, : len(choice)] = 1
        inputs["input_ids"] = torch.cat([inputs["input_ids"], continuation], 1)
        for name in PER_TOKEN.keys() & inputs.keys():
            inputs[name] = torch.cat([inputs[name], present * PER_TOKEN[name]], 1)
        # The last logits, since some models make more of them than there are input tokens.
        keep = {"logits_to_keep": longest + 1} if self._keeps else {}
        self._adapt(heard=bool(_sounds([conversation])))
        logits = self._model(**inputs, **keep).logits[:, -(longest + 1) : -1].float()
        chosen = logits.log_softmax(-1).gather(2, continuation[:, :, None])[:, :, 0]
        return (chosen * present).sum(1).tolist(), prompt

    def inputs(self, conversations: Sequence[Conversation]) -> Inputs:
        """What the model's forward pass takes, padded on the left. ValueError if audio is lost on the way."""
        # A tokenizer keeps its padding between calls, and `prepare` uses it in other threads.
        heard = _sounds(conversations)
        with self._tokenizing:
            made = self._marked(conversations, heard) if self._mark else self._templated(conversations)
        if heard and not any("feature" in name or "audio" in name for name in made):
            raise ValueError(f"{type(self._processor).__name__} made nothing of the audio: {sorted(made)}")
        device, dtype = self._model.device, self._model.dtype
        return {
            name: value.to(device, dtype if value.is_floating_point() else value.dtype)
            for name, value in made.items()
            if isinstance(value, Tensor)
        }

    def _templated(self, conversations: Sequence[Conversation]) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self._processor.apply_chat_template(
            list(conversations),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"text_kwargs": dict(PADDING)},
        )
        return made

    def _marked(self, conversations: Sequence[Conversation], heard: list[Any]) -> Mapping[str, Any]:
        texts = [
            self._tokenizer.apply_chat_template(
                [
                    {
                        "role": turn["role"],
                        "content": "".join(part.get("text", self._mark) for part in turn["content"]),
                    }
                    for turn in one
                ],
                add_generation_prompt=True,
                tokenize=False,
            )
            for one in conversations
        ]
        made: Mapping[str, Any] = self._processor(
            text=texts,
            audio=[part["audio"] for part in heard] or None,
            return_tensors="pt",
            text_kwargs={**PADDING, "add_special_tokens": False},
        )
        return made

    def _adapt(self, *, heard: bool) -> None:
        """A LoRA for audio is at work with audio alone; `generate` of such classes sees to it, `forward` not."""
        if getattr(self._model.config, "has_lora_adapter", False) and self._model._hf_peft_config_loaded:
            self._model.enable_adapters() if heard else self._model.disable_adapters()

    def _check(self, audio: Audio) -> None:
        if audio.rate != self._rate:
            raise ValueError(f"audio of {audio.rate} Hz; this model takes {self._rate} Hz")
        if not len(audio.samples) or not np.isfinite(audio.samples).all():
            raise ValueError("audio with no samples, or with NaN or infinite ones")

    def _tokens(self, text: str) -> tuple[int, ...]:
        with self._tokenizing:
            tokens = tuple(self._tokenizer(text, add_special_tokens=False).input_ids)
        if not tokens:
            raise ValueError(f"the choice {text!r} has no tokens, so no likelihood")
        return tokens

    def _stop_tokens(self) -> set[int]:
        configured = self._model.generation_config.eos_token_id
        many = configured if isinstance(configured, list) else [configured]
        return {token for token in (*many, self._tokenizer.eos_token_id) if token is not None}


def _turn(message: Message, audios: Sequence[Audio], sound: Callable[[Audio], Any]) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "audio", **sound(audios[part.index])}
        for part in message.content
    ]
    return {"role": message.role, "content": content}


def _as_samples(audio: Audio) -> dict[str, Any]:
    return {"audio": audio.samples}


def _as_file(audio: Audio) -> dict[str, Any]:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, audio.samples, audio.rate, format="WAV", subtype="FLOAT")
    return {"base64": base64.b64encode(file.getvalue()).decode("ascii")}


def _sounds(conversations: Sequence[Conversation]) -> list[dict[str, Any]]:
    """The parts that are audio, in order."""
    parts = (part for one in conversations for turn in one for part in turn["content"])
    return [part for part in parts if part["type"] == "audio"]


def _texts(turn: Mapping[str, Any]) -> list[str]:
    return [part["text"] for part in turn["content"] if part["type"] == "text"]


def _audio_part(processor: Any) -> Any:
    """The feature extractor, by either of the names that processors give it."""
    for name in ("feature_extractor", "audio_processor"):
        part = getattr(processor, name, None)
        if part is not None:
            return part
    raise ValueError(f"{type(processor).__name__} takes no audio")
