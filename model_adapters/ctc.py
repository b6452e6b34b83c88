"""CTC recognisers (wav2vec 2.0, HuBERT, WavLM and their like): the likeliest label of every frame, collapsed.

Recordings longer than 30 s are heard in consecutive windows, since attention grows with their square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.model import Card, LoadOptions, ModelInfo, Prepared, Request, Response
from model_adapters.audio_llm.encoder import check_audio, windows
from model_adapters.audio_llm.loading import count_stored, pick_device, pick_dtype
from model_adapters.hub import check_args, fetch_weights, identify
from model_adapters.stops import until

# Part of the fingerprint: raise it whenever a change here changes a transcript.
CODE_VERSION = 1
# Shorter windows give no frame; they are padded to this many samples.
SHORTEST = 1600

Wave = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of each recording of a request."""

    recordings: tuple[tuple[Wave, ...], ...]


class CTCRecogniser:
    """Greedy transcripts. The text of a request plays no part."""

    def __init__(self, model: Any, processor: Any, info: ModelInfo) -> None:
        self.info = info
        self._model = model
        self._processor = processor
        # Models that normalise over the whole recording take no mask, and must not see padding at all.
        self._masks = bool(getattr(processor.feature_extractor, "return_attention_mask", False))
        self._rate = int(processor.feature_extractor.sampling_rate)

    def prepare(self, request: Request) -> Prepared:
        if request.choices:
            raise ValueError(f"{self.info.name} transcribes speech: it cannot weigh choices")
        if request.settings.do_sample:
            raise ValueError(f"{self.info.name} decodes greedily: it cannot sample")
        if not request.audios:
            raise ValueError(f"{self.info.name} transcribes speech: there is no audio to hear")
        for audio in request.audios:
            check_audio(audio)
        recordings = tuple(tuple(map(_long_enough, windows(audio.samples))) for audio in request.audios)
        return Prepared(request, Windows(recordings), sum(map(len, recordings)))

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        """Several recordings in one request are transcribed one after the other, a line each."""
        waves = [wave for one in batch for windows_ in one.payload.recordings for wave in windows_]
        size = len(waves) if self._masks else 1
        heard = iter(
            [
                text
                for start in range(0, len(waves), size)
                for text in self._heard(waves[start : start + size])
            ]
        )
        return [self._response(one, heard) for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        raise ValueError(f"{self.info.name} transcribes speech: it cannot weigh choices")

    def _response(self, prepared: Prepared, heard: Any) -> Response:
        lines = [
            " ".join(text for text in [next(heard) for _ in recording] if text)
            for recording in prepared.payload.recordings
        ]
        text, _ = until("\n".join(lines), prepared.request.settings.stop)
        return Response(text)

    @torch.inference_mode()
    def _heard(self, waves: Sequence[Wave]) -> list[str]:
        inputs = self._processor.feature_extractor(
            list(waves), sampling_rate=self._rate, return_tensors="pt", padding=True
        )
        device, dtype = self._model.device, self._model.dtype
        given = {
            name: value.to(device, dtype if value.is_floating_point() else value.dtype)
            for name, value in inputs.items()
        }
        rows = self._model(**given).logits.argmax(-1).tolist()
        lengths = [len(row) for row in rows]
        if "attention_mask" in given:
            samples = given["attention_mask"].sum(-1)
            lengths = self._model._get_feat_extract_output_lengths(samples).tolist()
        kept = [row[:length] for row, length in zip(rows, lengths, strict=True)]
        return [self._processor.tokenizer.decode(row).strip() for row in kept]


def _long_enough(wave: Wave) -> Wave:
    return wave if len(wave) >= SHORTEST else np.pad(wave, (0, SHORTEST - len(wave)))


def load(card: Card, options: LoadOptions) -> CTCRecogniser:
    """Entry point `ctc` of the group `evalkit.models`."""
    from transformers import AutoModelForCTC, AutoProcessor
    from transformers.utils import logging

    known = info(card, options)
    folder = fetch_weights(card, options).folder
    logging.disable_progress_bar()
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForCTC.from_pretrained(folder, dtype=getattr(torch, known.dtype))
    return CTCRecogniser(model.requires_grad_(False).eval().to(known.device), processor, known)


def info(card: Card, options: LoadOptions) -> ModelInfo:
    """Entry point `ctc` of the group `evalkit.infos`: what is known without loading the weights."""
    check_args(card, options)
    weights = fetch_weights(card, options)
    device = pick_device(options.device)
    parameters = count_stored(weights.folder, "")
    return ModelInfo(
        name=card.name,
        fingerprint=identify(weights, code=CODE_VERSION),
        device=str(device),
        dtype=str(pick_dtype(options.dtype, device)).removeprefix("torch."),
        parameters=parameters,
        active_parameters=parameters,
        sources={"weights": weights.source},
    )
