"""A real model that costs nothing: its answers are a function of what it hears and reads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evalkit.model import AudioSlot, ModelInfo, Prepared, Request, Response


def answer_to(request: Request) -> str:
    """Names the recordings by content and repeats the text, so that a mix-up shows."""
    parts = []
    for message in request.messages:
        for part in message.content:
            if isinstance(part, AudioSlot):
                samples = request.audios[part.index].samples
                parts.append(
                    hashlib.sha256(samples.tobytes()).hexdigest()[:12] if samples.any() else "silence"
                )
            else:
                parts.append(part)
    return f"{' '.join(parts)} #{request.settings.seed}"


@dataclass
class TinyModel:
    """fault: called with every batch before it is answered, to misbehave as a test wants."""

    name: str = "tiny"
    device: str = "cpu"
    delay: float = 0.0
    fault: Callable[[Sequence[Prepared]], None] = lambda batch: None
    prepare_fault: Callable[[Request], None] = lambda request: None
    batches: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, "f" * 64, self.device, "float32", parameters=1)

    @property
    def asked(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    def prepare(self, request: Request) -> Prepared:
        self.prepare_fault(request)
        return Prepared(request, None, cost=1)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        self._enter(batch)
        return [Response(text=answer_to(one.request), input_tokens=3, output_tokens=2) for one in batch]

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        self._enter(batch)
        return [
            Response(
                choice_logprobs=tuple(-float(len(choice)) for choice in one.request.choices),
                choice_tokens=tuple(len(choice) for choice in one.request.choices),
                finish_reason="choices",
            )
            for one in batch
        ]

    def _enter(self, batch: Sequence[Prepared]) -> None:
        self.fault(batch)
        time.sleep(self.delay)
        self.batches.append(tuple(one.request.sample_id for one in batch))
