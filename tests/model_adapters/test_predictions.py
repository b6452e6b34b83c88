"""Answers made elsewhere go through the same run, scoring and record as a model's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.cards import load_model, model_info, resolve_model
from evalkit.cli.main import main
from evalkit.model import LoadOptions, Request, Response
from evalkit.results import read_result

ASR = Path(__file__).parents[2] / "tasks/mini/data/asr_en/test.jsonl"


def write(file: Path, *rows: object) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def test_a_file_is_run_like_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [json.loads(line) for line in ASR.read_text(encoding="utf-8").splitlines()][:4]
    answers: list[object] = [{"id": row["id"], "prediction": row["text"]} for row in rows[:2]]
    answers.append({"id": rows[2]["id"], "prediction": None})
    write(tmp_path / "mine.jsonl", *answers)
    with pytest.raises(SystemExit) as exit_:
        main(["run", "--model", "predictions:mine.jsonl", "--tasks", "mini_asr_en", "--limit", "4"])
    assert exit_.value.code == 1  # half of the answers are failures
    (folder,) = (tmp_path / "runs" / "mine.jsonl").iterdir()
    result = read_result(folder)
    assert (result.counts["ok"], result.counts["error"]) == (2, 2)
    texts = (folder / "samples.jsonl").read_text()
    assert "the prediction is null" in texts
    assert f"has no prediction for the sample '{rows[3]['id']}'" in texts
    assert str(tmp_path) not in texts + (folder / "result.json").read_text()


def test_choices_may_come_as_text_or_as_log_likelihoods(tmp_path: Path) -> None:
    file = write(
        tmp_path / "p.jsonl", {"id": "a", "prediction": "B"}, {"id": 7, "choice_logprobs": [-1, -2.5]}
    )
    model = load_model(resolve_model(f"predictions:{file}"), LoadOptions())
    asked = [Request(name, (), choices=("x", "y")) for name in ("a", "7")]
    assert model.score_choices([model.prepare(one) for one in asked]) == [
        Response("B"),
        Response(choice_logprobs=(-1.0, -2.5), finish_reason="choices"),
    ]


def test_the_fingerprint_is_the_files_content(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", {"id": "a", "prediction": "x"})
    same = write(tmp_path / "same.jsonl", {"id": "a", "prediction": "x"})
    other = write(tmp_path / "other.jsonl", {"id": "a", "prediction": "y"})
    infos = [model_info(resolve_model(f"predictions:{file}"), LoadOptions()) for file in (one, same, other)]
    prints = [info.fingerprint for info in infos if info is not None]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no predictions"),
        ("{\n", "line 1: is not JSON"),
        ('{"id": 1}\n', "line 1: needs an object with id and prediction"),
        (
            '{"id": 1, "prediction": "x"}\n\n{"id": "1", "prediction": "y"}\n',
            "line 3: id '1' stands there twice",
        ),
        ('{"id": 1, "prediction": ["x"]}\n', "prediction must be a text, not list"),
        ('{"id": 1, "choice_logprobs": ["x"]}\n', "must be a list of numbers"),
        ("[1]\n" * 9, "and 4 more"),
    ],
)
def test_mistakes_are_told_with_their_lines(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_model(resolve_model(f"predictions:{file}"), LoadOptions())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none\.jsonl"):
        load_model(resolve_model(f"predictions:{tmp_path}/none.jsonl"), LoadOptions())
