"""Recordings decoded lately: questions about the same one stand side by side, and decode it once."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock

from evalkit.data import decode
from evalkit.model import Audio
from evalkit.tasks.schema import AudioRef

# Four minutes and a bit: what is asked about the same recording stands side by side.
LIMIT_BYTES = 16 * 2**20

# file, member of a zip, start and length of the part that is meant, rate
Key = tuple[str, str, float, float | None, int]


class Recordings:
    """The files decoded last, up to `limit` bytes. Safe to use from several threads: one decodes, the others wait."""

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._held: OrderedDict[Key, Audio] = OrderedDict()
        self._due: dict[Key, Future[Audio]] = {}
        self._bytes = 0
        self._lock = Lock()

    def decoded(self, ref: AudioRef, rate: int) -> Audio:
        """As `evalkit.data.decode` gives it. Raises AudioError, as that does; what failed is tried again.

        What is no file is decoded every time, for want of a name to find it by.
        """
        if ref.path is None:
            return decode(ref, rate)
        key = (str(ref.path), ref.member, ref.start, ref.length, rate)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
            others = self._due.get(key)
            if others is None:
                due = self._due[key] = Future[Audio]()
        if others is not None:
            return others.result()
        try:
            due.set_result(decode(ref, rate))
        except BaseException as error:
            due.set_exception(error)
            raise
        finally:
            self._finish(key, due)
        return due.result()

    def _finish(self, key: Key, due: Future[Audio]) -> None:
        with self._lock:
            del self._due[key]
            if due.exception() is None:
                self._held[key] = due.result()
                self._bytes += due.result().samples.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1].samples.nbytes
