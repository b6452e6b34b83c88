"""The audio LLM under the Model protocol: encoder, projector, language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evalkit.inside import Projection, ProjectorCost, Rerouting, Supervised
from evalkit.model import ModelInfo, Prepared, Request, Response
from model_adapters.audio_llm import answers, backward, cost, formula, paper, readout, rerouting
from model_adapters.audio_llm import encoder as whisper
from model_adapters.audio_llm.decoding import Head
from model_adapters.audio_llm.openings import Openings
from model_adapters.audio_llm.projector import Projector, stack_frames
from model_adapters.audio_llm.prompt import Segment, render
from model_adapters.audio_llm.states import StateCache, content_key, encode_once
from model_adapters.audio_llm.tree import Opening

# Of a window of 30 s features take 0.96 MB.
MELS_BYTES = 64 * 2**20
# Prompts and choices whose tokens are kept: those of a task are alike, or come from a short list.
TEXTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Parts:
    """The loaded parts of a model, on one device. states: what this encoder has made of clips so far; mels: the
    features of clips met lately, since questions about one clip are asked side by side."""

    features: whisper.WhisperFeatures
    encoder: nn.Module
    projector: Projector
    llm: Any
    tokenizer: Any
    chat_template: str | None
    states: StateCache = field(default_factory=StateCache)
    mels: StateCache = field(default_factory=lambda: StateCache(MELS_BYTES))


@dataclass(frozen=True, slots=True)
class Inputs:
    """What `prepare` makes: the prompt's segments, and for each audio its windows' samples, features (None where
    the encoder's states were held already), frame counts and content hashes."""

    segments: tuple[Segment, ...]
    cuts: tuple[tuple[NDArray[np.float32], ...], ...]
    mels: tuple[tuple[Tensor | None, ...], ...]
    frames: tuple[tuple[int, ...], ...]
    keys: tuple[tuple[bytes, ...], ...]
    choices: tuple[tuple[int, ...], ...]


class AudioLLM:
    """Audio embeddings in place of their slots, text out or choices scored."""

    def __init__(self, parts: Parts, info: ModelInfo) -> None:
        self.parts = parts
        self.info = info
        end = parts.tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._stop_tokens = [end] if end is not None else [parts.tokenizer.eos_token_id]
        self._openings = Openings(parts.llm)
        tokenizer, template = parts.tokenizer, parts.chat_template
        # Not methods of this object, which would then hold itself, and its weights, in memory.
        self._segments = lru_cache(TEXTS_KEPT)(lambda messages: render(tokenizer, messages, template))
        self._tokens = lru_cache(TEXTS_KEPT)(
            lambda text: tuple(tokenizer(text, add_special_tokens=False).input_ids)
        )

    def prepare(self, request: Request) -> Prepared:
        for audio in request.audios:
            whisper.check_audio(audio)
        cuts = tuple(tuple(whisper.windows(audio.samples)) for audio in request.audios)
        keys = tuple(tuple(map(content_key, windows)) for windows in cuts)
        mels = tuple(tuple(map(self._needed, *both)) for both in zip(keys, cuts, strict=True))
        frames = tuple(tuple(whisper.frame_count(len(cut)) for cut in windows) for windows in cuts)
        segments = self._segments(request.messages)
        choices = tuple(map(self._tokens, request.choices))
        stack = self.parts.projector.config.stack
        length = sum(len(s.tokens) for s in segments) + sum(-(-n // stack) for f in frames for n in f)
        return Prepared(request, Inputs(segments, cuts, mels, frames, keys, choices), length)

    def _needed(self, key: bytes, cut: NDArray[np.float32]) -> Tensor | None:
        """The features of a window that is still to be encoded."""
        return None if self.parts.states.get(key) is not None else self._mel(key, cut)

    def _mel(self, key: bytes, cut: NDArray[np.float32]) -> Tensor:
        mel = self.parts.mels.get(key)
        if mel is None:
            mel = self.parts.features(cut)
            self.parts.mels.put(key, mel)
        return mel

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        inputs = [p.payload for p in batch]
        settings = [p.request.settings for p in batch]
        heads = [self._head(item) for item in inputs]
        parts = self.parts
        prompts = self._prompts(inputs)
        opening = self._opening(inputs, prompts)
        return answers.generated(
            parts.llm, parts.tokenizer, prompts, settings, self._stop_tokens, heads, opening
        )

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        inputs = [p.payload for p in batch]
        prompts, choices = self._prompts(inputs), [item.choices for item in inputs]
        return answers.weighed(self.parts.llm, prompts, choices, self._opening(inputs, prompts))

    def project(self, batch: Sequence[Prepared]) -> list[Projection]:
        return readout.projections(self.parts.projector, self._clip_frames(batch))

    def expert_outputs(self, batch: Sequence[Prepared]) -> list[tuple[NDArray[np.float32], ...]]:
        return readout.expert_outputs(self.parts.projector, self._clip_frames(batch))

    def rerouted(self, change: Rerouting) -> AudioLLM:
        projector = rerouting.rerouted(self.parts.projector, change)
        return AudioLLM(replace(self.parts, projector=projector), rerouting.renamed(self.info, change))

    def gradients(self, batch: Sequence[Supervised]) -> dict[str, NDArray[np.float32]]:
        parts = self.parts
        return backward.gradients(parts.llm, parts.tokenizer, parts.projector, batch, self._asked(batch))

    def loss(self, batch: Sequence[Supervised], step: backward.Step | None = None) -> float:
        parts = self.parts
        return backward.loss(parts.llm, parts.tokenizer, parts.projector, batch, self._asked(batch), step)

    def weight_norm(self) -> float:
        return backward.weight_norm(self.parts.projector)

    def projector_cost(self) -> ProjectorCost:
        return cost.projector_cost(self.parts.projector.config)

    def answer_flops(self, prepared: Prepared, written: int) -> int:
        longest = prepared.request.settings.max_new_tokens
        return formula.answer_flops(self.parts, prepared.payload, written, longest)

    def run_projector(self, tokens: int) -> None:
        cost.LoneProjector(self.parts.projector).run_projector(tokens)

    def at_paper_scale(self) -> cost.LoneProjector:
        return cost.LoneProjector(self.parts.projector).at_paper_scale()

    def model_at_paper_scale(self) -> AudioLLM:
        return AudioLLM(*paper.at_paper_scale(self.parts, self.info))

    def _clip_frames(self, batch: Sequence[Prepared]) -> list[Tensor]:
        """Stacked frames [tokens, stack * d] of every item, its audios one after the other."""
        none = torch.zeros(0, self.parts.projector.config.input_width, device=self.parts.llm.device)
        items = self._frames([p.payload for p in batch])
        return [torch.cat([none, *(f.float() for f in frames)]) for frames in items]

    def _asked(self, batch: Sequence[Supervised]) -> list[Tensor]:
        """Stacked frames of every audio, copied out of inference mode so that gradients may be taken."""
        items = self._frames([one.prepared.payload for one in batch])
        return [frames.float().clone() for audios in items for frames in audios]

    @torch.inference_mode()
    def _frames(self, inputs: Sequence[Inputs]) -> list[list[Tensor]]:
        """Stacked frames [tokens, stack * d] of every audio of every item."""
        cuts, mels, frames, keys = (
            [window for item in inputs for audio in getattr(item, name) for window in audio]
            for name in ("cuts", "mels", "frames", "keys")
        )

        def features(place: int) -> Tensor:
            """None were made where states were held; these may have been forgotten meanwhile."""
            made: Tensor | None = mels[place]
            return self._mel(keys[place], cuts[place]) if made is None else made

        states = iter(encode_once(self.parts.states, self.parts.encoder, keys, features, frames))
        stack = self.parts.projector.config.stack
        return [
            [torch.cat([stack_frames(next(states), stack) for _ in audio]) for audio in item.frames]
            for item in inputs
        ]

    def _head(self, item: Inputs) -> Head | None:
        """What a prompt may share with others: everything up to the end of its last audio."""
        ends = [place for place, segment in enumerate(item.segments) if segment.audio is not None]
        if not ends:
            return None
        segments = item.segments[: ends[-1] + 1]
        stack = self.parts.projector.config.stack
        lengths = [sum(-(-n // stack) for n in audio) for audio in item.frames]
        length = sum(len(s.tokens) if s.audio is None else lengths[s.audio] for s in segments)
        return (segments, item.keys), length

    def _opening(self, inputs: Sequence[Inputs], prompts: Sequence[Tensor]) -> Opening:
        """What the prompts have in common before their first audio."""
        firsts = [
            item.segments[0].tokens if len(item.segments) > 1 else item.segments[0].tokens[:-1]
            for item in inputs
        ]
        return self._openings.shared(firsts, max(map(len, prompts)))

    @torch.inference_mode()
    def _prompts(self, inputs: Sequence[Inputs]) -> list[Tensor]:
        """The LLM's input embeddings [tokens, d_llm] of every item."""
        frames = self._frames(inputs)
        flat = [audio for item in frames for audio in item]
        projected: list[Tensor] = []
        if flat:
            joined = torch.cat(flat).float()
            projected = list(self.parts.projector(joined).embeddings.split([len(a) for a in flat]))
        audios = iter(projected)
        return [self._embed(item.segments, [next(audios) for _ in item.mels]) for item in inputs]

    def _embed(self, segments: Sequence[Segment], audios: Sequence[Tensor]) -> Tensor:
        embed = self.parts.llm.get_input_embeddings()
        parts = []
        for segment in segments:
            if segment.audio is None:
                parts.append(embed(torch.tensor(segment.tokens, device=embed.weight.device)))
            else:
                parts.append(audios[segment.audio].to(embed.weight.dtype))
        return torch.cat(parts)
