"""Records as their journals make them: what `rescore` writes, and what `verify` holds against what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.results import JournalEntry, Result, RunRecord, build_result, fingerprint, task_from_snapshot
from evalkit.scoring import ScoringSpec, score
from evalkit.tasks import prompt_facts, settings_facts
from evalkit.tasks.schema import STATUSES, Task

_FUNCTION = "!function "


def scored_record(run: RunRecord, entries: Sequence[JournalEntry], spec: ScoringSpec) -> Result:
    """The result of the run when its journal is scored by `spec`, intervals by the seed the run names.

    ValueError for no entries, or a metric that has no value on them.
    """
    scored = score(entries, spec, seed=run.provenance.seed)
    return build_result(
        run,
        entries,
        scored.metrics,
        {status: scored.counts[status] for status in STATUSES},
        scoring_fingerprint=spec.fingerprint(),
        scoring=spec.to_dict(),
    )


def recomputed_run(run: RunRecord, entries: Sequence[JournalEntry]) -> RunRecord:
    """`run.json` with every hash and count made anew from the journal and from the task it holds.

    What only the machine that ran it knows stays: the model's own fingerprint, hints, provenance.
    """
    firsts = {entry.id: entry for entry in entries if entry.repeat == 0}.values()
    pairs = ((entry.request, fingerprint.reference_hash(entry.references)) for entry in firsts)
    task = task_from_snapshot(run.task)
    stored = run.fingerprints
    coded = _has_functions(run.task)
    prompt = stored.prompt if coded else fingerprint.prompt_fingerprint(prompt_facts(task))
    settings = fingerprint.settings_fingerprint(settings_facts(task))
    generation = fingerprint.generation_fingerprint(
        stored.model, prompt, settings, run.provenance.dtype, run.audio, _seed(run, task), stored.hints
    )
    data = fingerprint.data_fingerprint(pairs)
    made = {"prompt": prompt, "settings": settings, "generation": generation, "data": data}
    return run.model_copy(
        update={
            "n": len({entry.id for entry in entries}),
            "requests": fingerprint.sha256_of(sorted(entry.request for entry in firsts)),
            "fingerprints": stored.model_copy(update=made),
        }
    )


def _seed(run: RunRecord, task: Task) -> int | None:
    """The seed as far as answers depend on it, as the runner has it."""
    drawn = task.generation.do_sample or run.audio == "shuffled"
    return run.provenance.seed if drawn else None


def _has_functions(snapshot: Mapping[str, Any]) -> bool:
    """Whether templates are functions, of which a snapshot holds the names and not the source."""
    values = [snapshot.get(key, "") for key in ("doc_to_text", "doc_to_choice")]
    return any(isinstance(value, str) and value.startswith(_FUNCTION) for value in values)
