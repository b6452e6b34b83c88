"""The README and the licences of a published folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from evalkit.leaderboard.markdown import escape, table_line
from evalkit.leaderboard.seeds import arm_and_seed
from evalkit.leaderboard.stored import StoredRun

_FRONT_MATTER = """\
---
license: other
license_name: see-licenses
license_link: LICENSES.md
pretty_name: Evaluation records
tags: [audio, evaluation, evalkit]
configs:
- config_name: default
  data_files: samples.parquet
---
"""

UNTRAINED = (
    "# a model whose weights are not included says which `evalkit train` makes them and what to name then"
)

_FILES = """\
## What is here

| file | what |
| --- | --- |
| `leaderboard.md`, `.csv`, `.json` | the table over all records |
| `<model>/<task>@<fingerprint>/result.json` | values, intervals, counts by status, fingerprints, provenance |
| `<model>/<task>@<fingerprint>/run.json` | the task as it was asked, and the settings |
| `<model>/<task>@<fingerprint>/samples.jsonl.gz` | every answer, with its request hash and references |
| `<model>/model-index.yaml` | metadata for the model's card |
| `samples.parquet` | every answer of every run in one table |
| `environment.json` | package versions, devices and weights, by run |
| `LICENSES.md` | what the data and with them these records are licensed under |
"""


def readme(runs: Sequence[StoredRun]) -> str:
    """What the folder holds, how to check it without a GPU, and the commands that made it."""
    models = sorted({run.result.model for run in runs})
    tasks = sorted({run.result.task for run in runs})
    answers = sum(sum(run.result.counts.values()) for run in runs)
    intro = (
        f"{len(runs)} runs of {_count(len(models), 'model')} on {_count(len(tasks), 'task')}, {answers} answers, "
        "each with the record that was made from it. Intervals are 95 %; no answer is left out: one that "
        "failed counts as wrong and is counted by its status."
    )
    check = (
        "## Check it\n\n```bash\n"
        + "\n".join(
            [
                _install(sorted({run.result.provenance.evalkit for run in runs})[-1]),
                "evalkit verify .   # in this folder",
            ]
        )
        + "\n```\n\nrecomputes every number from the answers, without a model and without a GPU, and names "
        "what does not hold."
    )
    parts = [f"# Evaluation records\n\n{intro}", check, _reproduce(runs), _FILES.rstrip()]
    return _FRONT_MATTER + "\n" + "\n\n".join(parts) + "\n"


def licences(runs: Sequence[StoredRun]) -> str:
    """The licences of the data, which the records quote: references are part of every journal."""
    named: dict[str, str] = {}
    for run in runs:
        meta = run.record().task.get("meta", {})
        named[run.result.task] = str(meta.get("license") or "not stated by the task")
    lines = [
        "# Licences",
        "",
        "Journals quote the references of the data they were made on, so each is under the licence of its",
        "data, with the attribution that its task names. Models keep the licences of their cards. Values,",
        "intervals and other records of measurement are facts and may be used freely.",
        "",
        table_line(["task", "licence of its data"]),
        table_line(["---", "---"]),
        *(table_line([escape(task), escape(licence)]) for task, licence in sorted(named.items())),
    ]
    return "\n".join(lines) + "\n"


def commands(runs: Sequence[StoredRun]) -> list[str]:
    """One `evalkit run` for all tasks of a model that were run alike, in the order of the runs, and the revision
    behind it where there are several."""
    several = len({run.result.provenance.revision for run in runs}) > 1
    alike: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        made = run.result.provenance
        options: Mapping[str, str] = {
            "--audio": run.result.audio,
            "--backbone": "" if made.backbone == "mini" else made.backbone,
            "--model-args": ",".join(f"{name}={value}" for name, value in made.model_args.items()),
            "--dtype": made.dtype,
            "--seed": str(made.seed),
            "--batch-size": made.batch_size,
        }
        settings = [part for name, value in options.items() if value for part in (name, value)]
        revision = f"   # at {made.revision[:7]}" if several and made.revision else ""
        alike.setdefault((revision, run.result.model, *settings), []).append(run.result.task)
    return [
        # White space in a name would leave the code block.
        " ".join(
            shlex.join(
                ["evalkit", "run", "--model", _card(model), "--tasks", ",".join(tasks), *options]
            ).split()
        )
        + revision
        for (revision, model, *options), tasks in alike.items()
    ]


def _card(model: str) -> str:
    """What --model takes: a further training seed has the card that its training wrote."""
    return f"training/{model}/{model}.yaml" if arm_and_seed(model)[1] else model


def _trained(runs: Sequence[StoredRun]) -> list[str]:
    """A comment for every further training seed: how its card comes about."""
    models = dict.fromkeys(run.result.model for run in runs)
    seeds = {model: arm_and_seed(model) for model in models}
    return [
        " ".join(
            f"# {model}: `evalkit train` with the recipe of {arm} and --seed {seed} makes its card".split()
        )
        for model, (arm, seed) in seeds.items()
        if seed
    ]


def _reproduce(runs: Sequence[StoredRun]) -> str:
    made = [run.result.provenance for run in runs]
    versions = sorted({one.evalkit for one in made})
    revisions = sorted({one.revision for one in made if one.revision})
    devices = sorted({f"{one.device} ({one.device_name})" if one.device_name else one.device for one in made})
    source = f" (source revision {', '.join(revisions)})" if revisions else ""
    return (
        f"## Make it again\n\nWith evalkit {', '.join(versions)}{source}, made on {escape(', '.join(devices))}; "
        "the versions of every package are in `environment.json`.\n\n```bash\n"
        + "\n".join(
            [
                _install(versions[-1]),
                *_trained(runs),
                UNTRAINED,
                *commands(runs),
                "evalkit publish --output again",
            ]
        )
        + "\n```"
    )


def _install(version: str) -> str:
    return (
        f"pip install -c constraints.txt .   # in the source of evalkit {version}, at a revision named here"
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
