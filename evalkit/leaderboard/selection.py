"""Which records a table is made of, and whether they may stand in one column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalkit.results.record import Result

COMPARED = ("prompt", "settings", "data", "scoring")
AUDIO_SETTINGS = ("real", "none", "silence", "shuffled")


def select(
    results: Iterable[Result], *, tasks: Sequence[str] = (), partial: bool = False, mixed: bool = False
) -> list[Result]:
    """One record for each model as it was loaded, audio setting and task: the newest by `provenance.started`.

    A record of all samples goes before a partial one, and partial ones count only with `partial`.
    With `mixed` there is one for each way of making it (`made_like`) as well. `tasks` keeps the records
    whose task, family or a tag is named; ValueError for a name that matches none.
    """
    candidates = [result for result in results if partial or not result.partial]
    if tasks:
        candidates = _named(candidates, tasks)
    newest: dict[tuple[object, ...], Result] = {}
    for result in sorted(candidates, key=_age):
        loaded = (result.provenance.backbone, *sorted(result.provenance.model_args.items()))
        way = made_like(result) if mixed else None
        newest[(result.model, result.audio, result.task, loaded, way)] = result
    return sorted(newest.values(), key=lambda result: (*row_order(result.model, result.audio), result.task))


def made_like(result: Result) -> tuple[str, ...]:
    """The fingerprints that two results must share to stand in one column, in the order of `COMPARED`."""
    return tuple(getattr(result.fingerprints, field) for field in COMPARED)


def differing(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """The names of the fields in which these `made_like` values differ."""
    return [
        field
        for field, values in zip(COMPARED, zip(*groups, strict=True), strict=True)
        if len(set(values)) > 1
    ]


def row_order(model: str, audio: str) -> tuple[str, int]:
    """Rows by model name; a model's withheld-audio rows follow its real one."""
    return model, AUDIO_SETTINGS.index(audio) if audio in AUDIO_SETTINGS else len(AUDIO_SETTINGS)


def _age(result: Result) -> tuple[bool, str, str]:
    return not result.partial, result.provenance.started, result.fingerprints.generation


def _named(results: list[Result], tasks: Sequence[str]) -> list[Result]:
    known = sorted(
        {name for result in results for name in (result.task, result.family, *result.tags) if name}
    )
    missing = [task for task in tasks if task not in known]
    if missing:
        raise ValueError(
            f"no record of {', '.join(missing)}; the records are of {', '.join(known) or 'no task'}"
        )
    wanted = set(tasks)
    return [result for result in results if wanted & {result.task, result.family, *result.tags}]
