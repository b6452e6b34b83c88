"""Samples to work items: what is asked, its hash and its length, found without decoding any audio."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from evalkit.data import AudioError, content_sha256, part_sha256
from evalkit.model import AudioSetting, Message, Response
from evalkit.results.fingerprint import request_hash
from evalkit.results.record import JournalEntry
from evalkit.runner.asked import UNANSWERED, Asked, remembered
from evalkit.runner.plan import estimated_length
from evalkit.tasks import PromptError, build_messages
from evalkit.tasks.schema import AudioRef, Sample, Task

HASH_WORKERS = min(4, os.cpu_count() or 1)
HASH_CHUNK = 64
# After so many samples it is seen whether more threads pay.
HASH_ROUND = 8 * HASH_CHUNK
# Seconds of the average clip from which on hashing takes longer than finding out what to hash.
LONG_TO_HASH = 10.0
# Stands for the content hash of audio that cannot be read.
UNREADABLE = "unreadable"

# One for all samples: an empty dictionary takes as much memory as an answer.
_NO_FIELDS: Mapping[str, Any] = {}

AudioPlace = tuple[int, int]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """One answer that is due. Small plain data: samples and their audio are read when their turn comes.

    entry: its journal line, still without the response; length: in tokens, estimated; seeds: those of the
    task and the run, of which each sample and repeat makes its own for sampling; contents: hashes of the sample's
    audio, alike for all questions about the same; audios: for the setting `shuffled`, whose audio the
    model is to hear, as (index of the sample, place among its audios).
    """

    entry: JournalEntry
    length: float
    seeds: str
    contents: tuple[str, ...] = ()
    audios: tuple[AudioPlace, ...] | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.entry.id, self.entry.repeat

    @property
    def seed(self) -> int:
        return _seed(f"{self.seeds}:{self.entry.repeat}:{self.entry.id}")

    def answered(self, response: Response) -> JournalEntry:
        return replace(self.entry, response=response)


def work_items(task: Task, samples: Sequence[Sample], audio: AudioSetting, seed: int) -> tuple[WorkItem, ...]:
    """One item for each sample and repeat, a sample's repeats side by side.

    Reads every audio file once, for its hash; those of a large data set only if they changed. Raises
    ValueError for a sample that has no references or choices, and for `shuffled` with fewer than two
    different recordings.
    """
    asked = remembered(task, samples, lambda: list(_all_asked(task, samples)))
    others = _shuffled(asked, seed) if audio == "shuffled" else {}
    seeds = f"{task.generation.seed}:{seed}"
    items = []
    for one in asked:
        audios = tuple(others[content] for content in one.contents) if audio == "shuffled" else None
        for repeat in range(task.repeats):
            entry = replace(one.entry, repeat=repeat) if repeat else one.entry
            items.append(WorkItem(entry, one.length, seeds, one.contents, audios))
    return tuple(items)


def cycle(contents: Sequence[str], seed: int) -> dict[str, str]:
    """Another content for every content: a seeded cycle through all of them, so that none stays.

    The cycle is ordered by hash, not by a random generator, whose sequence may change with its version.
    Raises ValueError for fewer than two.
    """
    if len(set(contents)) < 2:
        raise ValueError("audio setting 'shuffled' needs at least two different recordings that can be read")
    ordered = sorted(set(contents), key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())
    return dict(pairwise([*ordered, ordered[0]]))


def _seed(text: str) -> int:
    """31 bits, which every generator takes."""
    digest = hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()
    return int.from_bytes(digest[:4]) >> 1


def _shuffled(asked: Sequence[Asked], seed: int) -> dict[str, AudioPlace]:
    """Where to find the audio that replaces a content; what cannot be read stays and becomes an error."""
    places: dict[str, AudioPlace] = {}
    for one in asked:
        for place, content in enumerate(one.contents):
            places.setdefault(content, (one.entry.index, place))
    following = cycle([content for content in places if content != UNREADABLE], seed)
    return {content: places[following.get(content, content)] for content in places}


def _all_asked(task: Task, samples: Sequence[Sample]) -> Iterator[Asked]:
    """In order, a chunk at a time, in several threads where most of it is waiting for storage or hashing."""
    known: dict[tuple[Path, str], str] = {}

    def ask(start: int) -> list[Asked]:
        chunk = range(start, min(start + HASH_CHUNK, len(samples)))
        return [_ask(task, samples[index], index, known) for index in chunk]

    # Threads that read short files which are at hand get in each other's way at Python's lock: twice the time.
    workers = 1
    for start in range(0, len(samples), HASH_ROUND):
        began, worked = time.perf_counter(), time.process_time()
        chunks = range(start, min(start + HASH_ROUND, len(samples)), HASH_CHUNK)
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="evalkit-hash") as pool:
            found = [one for chunk in pool.map(ask, chunks) for one in chunk]
        waited = time.perf_counter() - began > 2 * (time.process_time() - worked)
        if waited or sum(one.entry.seconds for one in found) > LONG_TO_HASH * len(found):
            workers = HASH_WORKERS
        yield from found


def _ask(task: Task, sample: Sample, index: int, known: dict[tuple[Path, str], str]) -> Asked:
    contents = tuple(_content(ref, known) for ref in sample.audios)
    messages = _messages(task, sample)
    choices = sample.choices if task.output_type == "multiple_choice" else ()
    entry = JournalEntry(
        id=sample.id,
        request=request_hash(contents, messages, choices),
        references=sample.references,
        response=UNANSWERED,
        choices=sample.choices,
        cluster=sample.cluster,
        index=index,
        seconds=sample.seconds,
        fields=_kept_fields(task, sample.fields),
    )
    texts = [part for message in messages for part in message.content if isinstance(part, str)]
    characters = sum(map(len, texts)) + sum(map(len, choices))
    new_tokens = 0 if task.output_type == "multiple_choice" else task.generation.max_new_tokens
    files = tuple(str(ref.path) for ref in sample.audios if ref.path is not None)
    return Asked(entry, estimated_length(sample.seconds, characters, new_tokens), contents, files)


def _content(ref: AudioRef, known: dict[tuple[Path, str], str]) -> str:
    """The content hash; a recording that several samples share, or share parts of, is read once."""
    key = None if ref.path is None else (ref.path, ref.member)
    if key is None or key not in known:
        try:
            whole = content_sha256(replace(ref, start=0.0, length=None))
        except AudioError:
            whole = UNREADABLE
        if key is not None:
            known[key] = whole
    else:
        whole = known[key]
    return whole if whole == UNREADABLE else part_sha256(ref, whole)


def _messages(task: Task, sample: Sample) -> tuple[Message, ...]:
    """The messages, or none where the prompt cannot be made: then the answer will be an error."""
    try:
        return build_messages(task, sample, len(sample.audios))
    except PromptError:
        return ()


def _kept_fields(task: Task, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """What scoring and slices may ask for later, as JSON has it."""
    names = dict.fromkeys((*task.meta.slices, task.meta.transcript))
    return {name: _plain(fields[name]) for name in names if name in fields} or _NO_FIELDS


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)
