"""The contract with lm-evaluation-harness, held against lm-eval itself: models in, tasks in, results out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.data import open_samples
from evalkit.interop import lm_eval, text_arms
from evalkit.interop.lm_eval_results import lm_eval_results
from evalkit.interop.lm_eval_yaml import is_lm_eval_yaml, read_lm_eval_yaml, text_task
from evalkit.model import AudioSlot, Card, LoadOptions, ModelInfo, Prepared, Response
from evalkit.results.record import Fingerprints, MetricValue, Provenance, Result
from evalkit.scoring import ScoringSpec
from evalkit.tasks import TaskErrors, find_tasks

CARD = Card("reader", "nothing", {}, Path("reader.yaml"))


@dataclass
class Reader:
    """Knows the first `right` questions that it meets; hearing anything costs it one more."""

    right: int
    info: ModelInfo = field(default_factory=lambda: ModelInfo("reader", "f", "cpu", "float32"))
    asked: list[Any] = field(default_factory=list)

    def prepare(self, request: Any) -> Prepared:
        return Prepared(request, None, 1)

    def score_choices(self, batch: Sequence[Prepared]) -> list[Response]:
        return [self._score(one.request) for one in batch]

    def generate(self, batch: Sequence[Prepared]) -> list[Response]:
        self.asked += [one.request for one in batch]
        return [Response(text="blue and more") for _ in batch]

    def _score(self, request: Any) -> Response:
        self.asked.append(request)
        knows = len(self.asked) <= self.right - len(request.audios)
        target = ANSWERS[request.messages[-1].content[-1]]
        scores = tuple(0.0 if (choice == target) == knows else -9.0 for choice in request.choices)
        return Response(choice_logprobs=scores, choice_tokens=(1,) * len(scores), finish_reason="choices")


QUESTIONS = [
    json.loads(line) for line in lm_eval.shipped_file().with_suffix(".jsonl").read_text().splitlines()
]
ANSWERS = {row["question"]: row["choices"][row["answer"]] for row in QUESTIONS}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """An lm-eval task file with its data beside it."""

    def write(text: str, rows: list[dict[str, Any]]) -> Path:
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        path = tmp_path / "task.yaml"
        path.write_text(text)
        return path

    return write


COLOURS = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{ question }}"
doc_to_target: "{{ answer }}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def test_the_version_is_the_one_that_this_was_written_for() -> None:
    major, minor, patch = map(int, metadata.version("lm-eval").split(".")[:3])
    assert (major, minor) == (0, 4) and patch >= 13


def test_the_shipped_task_is_balanced_and_unambiguous() -> None:
    assert len(QUESTIONS) == len(ANSWERS) == 48
    places = [row["answer"] for row in QUESTIONS]
    assert {place: places.count(place) for place in range(4)} == dict.fromkeys(range(4), 12)
    assert all(len(set(row["choices"])) == 4 for row in QUESTIONS)


def test_three_arms_answer_the_same_samples_and_are_compared_in_pairs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[tuple[str, Reader]] = []

    def load(card: Card, options: LoadOptions) -> Reader:
        base = options.args == {"lora": "off"}
        loaded.append(("base" if base else "tuned", Reader(12 if base else 10)))
        return loaded[-1][1]

    monkeypatch.setattr("evalkit.cards.load_model", load)
    values = text_arms.text_arms(CARD, LoadOptions(), [lm_eval.SHIPPED], limit=12)
    assert [name for name, _ in loaded] == ["base", "tuned"], (
        "one model in memory at a time, the tuned one twice"
    )
    assert [(value.arm, value.metric) for value in values] == [(arm, "acc") for arm in text_arms.ARMS]
    assert [value.value for value in values][:2] == [1.0, pytest.approx(10 / 12)]
    heard = [len(request.audios) for request in loaded[1][1].asked]
    assert heard == [0] * 12 + [1] * 12
    assert isinstance(loaded[1][1].asked[-1].messages[0].content[0], AudioSlot)
    found = text_arms.differences(values, seed=0)
    assert [(one.first, one.second, one.n) for one in found] == [
        ("without audio", "base LLM", 12),
        ("with silence", "without audio", 12),
        ("with silence", "base LLM", 12),
    ]
    assert found[0].test.difference == pytest.approx(-2 / 12)
    assert found[0].test.method == "exact McNemar" and found[0].test.p == 0.5
    assert found[0].interval.low is not None and found[0].interval.low <= -2 / 12


def test_lm_eval_scores_generated_text(written: Callable[..., Path]) -> None:
    path = written(
        COLOURS, [{"question": "Sky?", "answer": "blue and more"}, {"question": "Grass?", "answer": "green"}]
    )
    reader = Reader(0)
    samples = lm_eval.run_tasks(reader, "none", [str(path)], limit=None)
    assert [sample["exact_match"] for sample in samples["colours"]] == [1.0, 0.0]
    assert reader.asked[0].settings.stop == ("\n",) and reader.asked[0].settings.max_new_tokens == 8


def test_a_lone_continuation_is_greedy_if_the_model_would_write_it() -> None:
    reader = Reader(9)
    ANSWERS["The sky is"] = "blue"
    pairs = [
        ("The sky is", " blue"),
        (QUESTIONS[0]["question"], " sheep"),
        (QUESTIONS[0]["question"], " frog"),
    ]
    class_ = lm_eval.lm_class()
    answers = class_(loaded=reader).loglikelihood([type("I", (), {"args": pair}) for pair in pairs])
    assert [greedy for _, greedy in answers] == [True, False, False]
    assert reader.asked[1].choices == ("sheep", "frog"), "one question for all continuations of a context"


def test_the_model_is_registered_under_its_name() -> None:
    from lm_eval.api.registry import get_model

    lm_eval.register()
    lm_eval.register()
    assert get_model("evalkit") is lm_eval.lm_class()
    with pytest.raises(ValueError, match="audio is none or silence"):
        get_model("evalkit").create_from_arg_string("model=moe_adapter,audio=loud")


def test_an_unknown_task_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval.tasks as theirs

    class Empty:
        all_tasks: tuple[str, ...] = ()

        def __init__(self, **_: Any) -> None: ...

    monkeypatch.setattr(theirs, "TaskManager", Empty)
    with pytest.raises(ValueError, match="lm-eval has no task 'mmlu_of_nowhere'"):
        lm_eval.run_tasks(Reader(0), "none", ["mmlu_of_nowhere"], limit=1)


def test_a_plain_task_file_becomes_a_task_of_evalkit() -> None:
    path = lm_eval.shipped_file()
    assert is_lm_eval_yaml(path)
    task = text_task(path)
    assert (task.doc_to_audio, task.output_type, task.test_split) == ((), "multiple_choice", "test")
    assert [spec.metric for spec in ScoringSpec.from_task(task).metrics] == ["accuracy"]
    samples = open_samples(task)
    assert len(samples) == 48 and samples[0].audios == ()
    assert [sample.references[0] for sample in samples] == [
        row["choices"][row["answer"]] for row in QUESTIONS
    ]
    assert Path(read_lm_eval_yaml(path)["dataset_kwargs"]["data_files"]["test"]).is_file()


def test_tasks_of_evalkit_are_told_from_those_of_lm_eval() -> None:
    assert not any(is_lm_eval_yaml(entry.path) for entry in find_tasks().tasks.values())


def test_keys_that_cannot_be_honoured_are_named(written: Callable[..., Path]) -> None:
    path = written(COLOURS + "num_fewshot: 5\nprocess_results: x\n", [{"question": "q", "answer": "a"}])
    with pytest.raises(TaskErrors) as caught:
        text_task(path)
    told = str(caught.value)
    assert "process_results: evalkit cannot honour" in told and "num_fewshot: evalkit asks without" in told


def test_a_result_reads_as_lm_evals(tmp_path: Path) -> None:
    from lm_eval.utils import make_table

    result = Result(
        model="moe_adapter",
        task="mini_asr_en",
        n=10,
        metrics={
            "wer,none": MetricValue(value=0.25, low=0.05, high=0.45, higher_is_better=False),
            "cer,none": MetricValue(value=0.1, higher_is_better=False, note="one cluster"),
        },
        counts={"ok": 10},
        fingerprints=Fingerprints(generation="g", model="m", prompt="p", settings="s", data="d", scoring="c"),
        provenance=Provenance(evalkit="0.1"),
    )
    written = json.loads(json.dumps(lm_eval_results(result)))
    table = make_table(written)
    assert "mini_asr_en" in table and "0.25" in table and "wer" in table
    assert written["results"]["mini_asr_en"]["wer_stderr,none"] == pytest.approx(0.2 / 1.959964, rel=1e-5)
    assert written["results"]["mini_asr_en"]["cer_stderr,none"] == "N/A"
    assert np.isfinite(float(written["total_evaluation_time_seconds"]))
