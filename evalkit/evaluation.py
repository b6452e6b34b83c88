"""One model on one task from samples to a written result: running, scoring and recording put together."""

from __future__ import annotations

from dataclasses import dataclass

from evalkit.model import Model
from evalkit.results import Result, build_result, write_result
from evalkit.runner import Progress, RunSettings, TaskRun, run_task
from evalkit.scoring import ScoringSpec, score
from evalkit.tasks.schema import STATUSES, Task


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result and the run it was made from; both are in `run.folder`."""

    result: Result
    run: TaskRun


def evaluate(model: Model, task: Task, settings: RunSettings, progress: Progress | None = None) -> Evaluation:
    """Run `model` on `task`, score its journal and write `result.json`.

    Samples that an earlier, interrupted call has answered are not run again. Raises what `run_task` does,
    and ValueError for a task whose metrics or filters are unknown before anything is run.
    """
    spec = ScoringSpec.from_task(task)
    run = run_task(model, task, settings, progress)
    # The recorded seed: a finished run keeps the one it was made with, and its intervals are remade by that.
    scored = score(run.entries, spec, seed=run.run.provenance.seed)
    result = build_result(
        run.run,
        run.entries,
        scored.metrics,
        {status: scored.counts[status] for status in STATUSES},
        scoring_fingerprint=spec.fingerprint(),
        scoring=spec.to_dict(),
    )
    write_result(run.folder, result)
    return Evaluation(result, run)
