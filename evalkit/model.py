"""What a model and the harness share: requests, responses and the protocol between them.

Plain types only: no torch, no I/O. Any room may import this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "choices", "error"]
AudioSetting = Literal["real", "none", "silence", "shuffled"]
HintName = Literal["options", "majority", "transcripts", "language"]


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Decoded mono audio.

    samples: float32, shape [n], nominally in [-1, 1], shared by all questions about it, so not to be written
    into; rate: samples per second;
    sha256: hash of the content as it was stored, so that it does not depend on the decoder.
    """

    samples: NDArray[np.float32]
    rate: int
    sha256: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class AudioSlot:
    """The place of `Request.audios[index]` in a message."""

    index: int


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: tuple[str | AudioSlot, ...]


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    max_new_tokens: int = 128
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Hints:
    """What a task knows about a sample beyond the question: for baselines, never for a model under test.

    A model gets those that its `ModelInfo.hints` names; the generation fingerprint covers them.
    options: the answers to choose from, also where the request asks for text; majority: the most frequent
    answer in the training split; transcripts: what is said, one for each audio, or none where the task
    does not know it or asks for it; language: of the speech, as an ISO 639-1 code.
    """

    options: tuple[str, ...] = ()
    majority: str = ""
    transcripts: tuple[str, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One question. With `choices` it asks for their log-likelihoods, without for text."""

    sample_id: str
    messages: tuple[Message, ...]
    audios: tuple[Audio, ...] = ()
    choices: tuple[str, ...] = ()
    settings: GenerationSettings = GenerationSettings()
    hints: Hints = Hints()


@dataclass(frozen=True, slots=True)
class Response:
    """What a model gave back for one request.

    choice_logprobs: summed log-likelihood of each choice (nats), choice_tokens: their token counts.
    Choices that were asked for as text (a served model gives no likelihoods) come back as `text` alone.
    cost: US dollars, where the model is paid for.
    error: why there is no answer; then everything else is empty.
    """

    text: str | None = None
    choice_logprobs: tuple[float, ...] = ()
    choice_tokens: tuple[int, ...] = ()
    finish_reason: FinishReason = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None
    cost: float = 0.0


class ModelUnavailableError(RuntimeError):
    """No further request can succeed, for no fault of the samples: the server is gone, or refuses the key."""


@dataclass(slots=True)
class Prepared:
    """A request after the CPU work: `payload` is the model's own, `cost` its length for batching."""

    request: Request
    payload: Any
    cost: int


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is to be loaded. `args` are the user's `--model-args`, values still strings.

    base_url: of the server, for models that are served; trust_remote_code: the user allows code that comes
    with the weights.
    """

    device: str = "auto"
    dtype: str = "auto"
    backbone: str = "mini"
    seed: int = 0
    args: Mapping[str, str] = field(default_factory=dict)
    base_url: str = ""
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a result record says about the model that made it; `hints` names what it reads of them."""

    name: str
    fingerprint: str
    device: str
    dtype: str
    parameters: int = 0
    active_parameters: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    hints: tuple[HintName, ...] = ()


class Model(Protocol):
    """A model under test.

    `info.fingerprint` hashes the weights and everything else that changes the output, never a path.
    """

    @property
    def info(self) -> ModelInfo: ...

    def prepare(self, request: Request) -> Prepared:
        """CPU work (features, tokens). May run in any worker thread. Raises ValueError for bad input."""
        ...

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        """One Response per item, in order. Values must not depend on the batch."""
        ...

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        """One Response per item, in order, with a log-likelihood for every choice."""
        ...


class ModelLoader(Protocol):
    """What an entry point of the group `evalkit.models` names."""

    def __call__(self, card: Card, options: LoadOptions) -> Model: ...


@dataclass(frozen=True, slots=True)
class Card:
    """A named model: the YAML under `path`, whose relative file names start at its folder.

    loader: a name of the entry-point group `evalkit.models`; config: what that loader reads.
    """

    name: str
    loader: str
    config: Mapping[str, Any]
    path: Path
    summary: str = ""
    license: str = ""
    status: str = ""
