"""evalkit's models as models of lm-evaluation-harness; nothing else imports it.

They answer its text tasks: registered under the name `evalkit`, whose arguments are `model` (a card), `audio`
(none or silence) and `llm` (tuned or base), or through `run_tasks`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.model import Audio, AudioSlot, GenerationSettings, LoadOptions, Message, Request, Response

if TYPE_CHECKING:
    from evalkit.model import Model

NAME = "evalkit"
SHIPPED = "everyday_knowledge"
SILENCE_SECONDS = 1.0
RATE = 16_000
CHUNK = 16


def shipped_file() -> Path:
    """The text task that comes with evalkit, a plain lm-eval task file."""
    return Path(__file__).parent / "text" / f"{SHIPPED}.yaml"


def register() -> None:
    """Make `evalkit` a model of lm-eval in this process: it has no entry points for models."""
    from lm_eval.api.registry import model_registry, register_model

    if NAME not in model_registry:
        register_model(NAME)(lm_class())


@functools.cache
def lm_class() -> type[Any]:
    """The class that lm-eval gets; made here because its base is lm-eval's."""
    from lm_eval.api.model import LM

    class EvalkitLM(LM):  # type: ignore[misc]
        """A model of evalkit that is asked text questions, one user message each."""

        def __init__(
            self,
            model: str = "",
            audio: str = "none",
            llm: str = "tuned",
            backbone: str = "mini",
            device: str | None = None,
            batch_size: int | str | None = None,
            max_batch_size: int | None = None,
            loaded: Model | None = None,
        ) -> None:
            super().__init__()
            if audio not in ("none", "silence") or llm not in ("tuned", "base"):
                raise ValueError(
                    f"evalkit model: audio={audio}, llm={llm}; audio is none or silence, llm tuned or base"
                )
            self.model = loaded or _load(model, llm, backbone, device or "auto")
            self.audios = (_silence(),) if audio == "silence" else ()

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            return _loglikelihoods(self.model, [request.args for request in requests], self.audios)

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
            raise ValueError(
                "loglikelihood_rolling: evalkit models answer questions, they are not asked for perplexity"
            )

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            asked = [
                _request(context, self.audios, settings=_settings(kwargs))
                for context, kwargs in (r.args for r in requests)
            ]
            return [str(response.text) for response in _answers(self.model, asked)]

    return EvalkitLM


def run_tasks(
    model: Model, audio: str, tasks: Sequence[str], *, limit: int | None, include: Sequence[Path] = ()
) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """lm-eval's logged samples by task. tasks: names, task files, or `everyday_knowledge`, which comes with evalkit.

    audio: `none`, or `silence` before every text. Raises ValueError for a task that lm-eval does not have.
    """
    from lm_eval import simple_evaluate

    results = simple_evaluate(
        model=lm_class()(loaded=model, audio=audio),
        tasks=[_task(name) for name in tasks],
        task_manager=_task_manager(tasks, include),
        limit=limit,
        bootstrap_iters=0,
        log_samples=True,
    )
    if results is None:
        raise RuntimeError("lm-eval gave no results")
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = results["samples"]
    return samples


def _task(name: str) -> Any:
    """A task's name, or for a YAML file its content with the data files found beside it."""
    if name == SHIPPED:
        name = str(shipped_file())
    if not name.endswith((".yaml", ".yml")):
        return name
    from evalkit.interop.lm_eval_yaml import read_lm_eval_yaml

    return read_lm_eval_yaml(Path(name))


def _task_manager(tasks: Sequence[str], include: Sequence[Path]) -> Any:
    """lm-eval's own index takes ten seconds, so it is made only for tasks that are named."""
    from lm_eval.tasks import TaskManager

    own = [str(path) for path in include] or None
    manager = TaskManager(include_path=own, include_defaults=False)
    named = [name for name in tasks if name != SHIPPED and not name.endswith((".yaml", ".yml"))]
    if all(name in manager.all_tasks for name in named):
        return manager
    manager = TaskManager(include_path=own)
    unknown = [name for name in named if name not in manager.all_tasks]
    if unknown:
        raise ValueError(
            f"lm-eval has no task {', '.join(map(repr, unknown))}; `lm-eval ls tasks` lists them"
        )
    return manager


def _load(name: str, llm: str, backbone: str, device: str) -> Model:
    from evalkit.cards import load_model, resolve_model

    args = {"lora": "off"} if llm == "base" else {}
    return load_model(resolve_model(name), LoadOptions(device=device, backbone=backbone, args=args))


def _silence() -> Audio:
    import numpy as np

    return Audio(np.zeros(round(SILENCE_SECONDS * RATE), np.float32), RATE, f"silence {SILENCE_SECONDS} s")


def _request(
    context: str,
    audios: tuple[Audio, ...],
    choices: tuple[str, ...] = (),
    settings: GenerationSettings | None = None,
) -> Request:
    slots: tuple[str | AudioSlot, ...] = tuple(AudioSlot(index) for index in range(len(audios)))
    message = Message("user", (*slots, context))
    return Request("lm-eval", (message,), audios, choices, settings or GenerationSettings())


def _settings(kwargs: Mapping[str, Any]) -> GenerationSettings:
    until = kwargs.get("until") or ()
    sampled = bool(kwargs.get("do_sample", False))
    return GenerationSettings(
        max_new_tokens=int(kwargs.get("max_gen_toks") or kwargs.get("max_new_tokens") or 256),
        do_sample=sampled,
        temperature=float(kwargs.get("temperature") or 1.0) if sampled else 1.0,
        stop=(until,) if isinstance(until, str) else tuple(until),
    )


def _answers(model: Model, requests: Sequence[Request]) -> list[Response]:
    """Responses in order. Raises ValueError for one that failed: lm-eval knows no failed samples."""
    from evalkit.runner.answers import answer

    responses: list[Response] = []
    for start in range(0, len(requests), CHUNK):
        responses += answer(model, [model.prepare(request) for request in requests[start : start + CHUNK]])
    failed = [response.error for response in responses if response.error is not None]
    if failed:
        raise ValueError(f"{len(failed)} of {len(responses)} requests failed; the first: {failed[0]}")
    return responses


def _loglikelihoods(
    model: Model, pairs: Sequence[tuple[str, str]], audios: tuple[Audio, ...]
) -> list[tuple[float, bool]]:
    """(log-likelihood, whether greedy decoding would write it) for (context, continuation) pairs.

    Continuations of one context are one question. Leading white space belongs to text that runs on, while
    an answer begins a turn, so it is dropped. Whether it is greedy is asked only of lone continuations:
    with several, lm-eval compares their likelihoods.
    """
    places: dict[str, list[int]] = {}
    for index, (context, _) in enumerate(pairs):
        places.setdefault(context, []).append(index)
    asked = [
        _request(context, audios, tuple(pairs[i][1].lstrip() for i in at)) for context, at in places.items()
    ]
    found: list[tuple[float, bool]] = [(0.0, False)] * len(pairs)
    lone: list[tuple[int, Request]] = []
    for _, response, at in zip(asked, _answers(model, asked), places.values(), strict=True):
        for index, score in zip(at, response.choice_logprobs, strict=True):
            found[index] = (score, False)
        if len(at) == 1:
            settings = GenerationSettings(max_new_tokens=max(1, *response.choice_tokens))
            lone.append((at[0], _request(pairs[at[0]][0], audios, settings=settings)))
    for (index, _), response in zip(lone, _answers(model, [request for _, request in lone]), strict=True):
        found[index] = (found[index][0], str(response.text).startswith(pairs[index][1].strip()))
    return found


def main() -> None:
    """lm-eval's own command line with evalkit's models in it: `python -m evalkit.interop.lm_eval run ...`."""
    from lm_eval.__main__ import cli_evaluate

    register()
    cli_evaluate()


if __name__ == "__main__":
    main()
