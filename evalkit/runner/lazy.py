"""A model whose weights are loaded when the first of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from evalkit.model import Model, ModelInfo, Prepared, Request, Response


class LazyModel:
    """`load()` on first use, from whichever thread comes first; `info` alone needs none of it if given.

    others: what loads further replicas, for other devices.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        info: ModelInfo | None = None,
        others: Sequence[Callable[[], Model]] = (),
    ) -> None:
        self._load = load
        self._info = info
        self._others = others
        self._model: Model | None = None
        self._replicas: tuple[Model, ...] = ()
        self._lock = Lock()

    @property
    def info(self) -> ModelInfo:
        return self._info if self._info is not None else self.loaded().info

    def loaded(self) -> Model:
        """The model itself. RuntimeError if its fingerprint is not the one that was promised."""
        with self._lock:
            if self._model is None:
                model = self._load()
                if self._info is not None and model.info.fingerprint != self._info.fingerprint:
                    raise RuntimeError(
                        f"model {self._info.name}: its weights changed while it was loaded; run it again"
                    )
                self._model = model
            return self._model

    def replicas(self) -> tuple[Model, ...]:
        """The model and its replicas."""
        first = self.loaded()
        with self._lock:
            if not self._replicas:
                self._replicas = (first, *(load() for load in self._others))
            return self._replicas

    def prepare(self, request: Request) -> Prepared:
        return self.loaded().prepare(request)

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        return self.loaded().generate(batch)

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return self.loaded().score_choices(batch)
