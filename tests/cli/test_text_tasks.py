"""A plain task file of lm-evaluation-harness under `evalkit run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evalkit.interop

SHIPPED = Path(evalkit.interop.__file__).parent / "text" / "everyday_knowledge.yaml"


def test_a_plain_lm_eval_task_is_run_and_its_result_written_in_both_forms(
    evalkit: Callable[..., Any], place: Path
) -> None:
    done = evalkit("run", "--model", "random", "--tasks", str(SHIPPED), "--json")
    assert done.code == 0, done.err
    [result] = json.loads(done.out)
    assert (result["task"], result["n"]) == ("everyday_knowledge", 48)
    [folder] = (place / "runs" / "random").iterdir()
    theirs = json.loads((folder / "lm_eval_results.json").read_text())
    value = result["metrics"]["accuracy,none"]["value"]
    assert theirs["results"]["everyday_knowledge"]["accuracy,none"] == value


def test_a_key_that_cannot_be_honoured_is_one_message(evalkit: Callable[..., Any], place: Path) -> None:
    (place / "odd.yaml").write_text(
        "task: odd\ndataset_path: json\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\nprocess_docs: x\n"
    )
    done = evalkit("run", "--model", "random", "--tasks", "odd.yaml")
    assert done.code == 2
    assert "odd.yaml: process_docs: evalkit cannot honour this key" in done.err
