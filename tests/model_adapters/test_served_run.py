"""Whole runs against servers on loopback: one that holds the mini Whisper, one that fails half-way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import Reply, Seen, chat, problem, serving

from evalkit.cli.main import main
from evalkit.results import read_result

KEY = "sk-secret-0123456789"
ASR = Path(__file__).parents[2] / "tasks/mini/data/asr_en"
TASK = """
task: {name}
dataset_path: {data}
test_split: test
doc_to_audio: audio
doc_to_text: "What is said?"
doc_to_target: text
{answers}
metadata:
  version: 1
  evalkit: {{family: asr, license: CC-BY-SA-3.0, summary: Prompts}}
"""
TEXT = "output_type: generate_until\nmetric_list: [{metric: wer}]"
CHOICES = "output_type: multiple_choice\ndoc_to_choice: [Calling, Agent logged off]\nmetric_list: [{metric: accuracy}]"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Exit code of `evalkit run` with these arguments, and what it wrote to stderr."""

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["run", *arguments])
        assert isinstance(exit_.value.code, int)
        return exit_.value.code, capsys.readouterr().err

    return call


Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def whisper_port() -> Iterator[int]:
    """A process that serves the mini Whisper."""
    program = Path(__file__).with_name("whisper_server.py")
    server = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()


def written(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    return sorted(lines, key=lambda line: int(line["index"]))


def task(place: Path, answers: str, name: str = "prompts") -> str:
    file = place / f"{name}.yaml"
    file.write_text(TASK.format(name=name, data=ASR, answers=answers))
    return str(file)


def test_a_live_server_is_run_like_any_model(run: Run, whisper_port: int, place: Path) -> None:
    server = f"http://127.0.0.1:{whisper_port}"
    code, err = run(
        "--model", "openai:whisper-base", "--base-url", server, "--tasks", "mini_asr_en", "--limit", "2"
    )
    assert code == 0, err
    (folder,) = (place / "runs" / "whisper-base").iterdir()
    entries = written(folder)
    assert [one["response"]["text"] for one in entries] == ["Agent logged off.", "Thank you."]
    result = read_result(folder)
    assert result.metrics["wer,none"].value < 0.5
    assert result.provenance.device == "remote"
    assert result.provenance.sources["server"] == f"{server}/v1"


def test_a_server_that_goes_ends_the_run_and_the_same_command_goes_on(run: Run, place: Path) -> None:
    asked: list[str] = []
    replies: dict[str, Reply] = {}

    def answer(seen: Seen) -> Reply:
        asked.append(seen.json["messages"][0]["content"][0]["input_audio"]["data"])
        return replies.get("all") or (chat("calling") if len(asked) <= 4 else problem(401, f"no {KEY}"))

    with serving(answer) as server:
        command = ["--model", "openai:m", "--base-url", server.url, "--tasks", task(place, TEXT)]
        command += ["--limit", "8", "--batch-size", "2", "--model-args", "concurrency=1"]
        code, err = run(*command)
        assert code == 1
        assert "refuses the key" in err
        assert "finished answers are kept" in err
        (folder,) = (place / "runs" / "m").iterdir()
        assert len(written(folder)) == 4
        replies["all"] = chat("calling")
        done = len(asked)
        code, err = run(*command)
    assert code == 0, err
    assert len(written(folder)) == 8
    assert len(asked) - done == 4
    assert all(KEY not in file.read_text() for file in folder.iterdir() if file.is_file())


def test_samples_that_a_server_fails_count_as_wrong(run: Run, place: Path) -> None:
    numbers = iter(range(100))
    with serving(
        lambda _: problem(400, f"bad audio {KEY}") if next(numbers) == 1 else chat("calling")
    ) as server:
        code, err = run(
            *("--model", "openai:m", "--base-url", server.url, "--tasks", task(place, TEXT), "--limit", "4"),
            *("--model-args", "concurrency=1"),
        )
    assert code == 1
    assert "1 of 4 answers are errors, more than --max-failures allows" in err
    assert "bad audio ***" in err
    (folder,) = (place / "runs" / "m").iterdir()
    assert read_result(folder).counts["error"] == 1
    assert KEY not in (folder / "samples.jsonl").read_text()


def test_choices_of_a_served_model_are_letters_and_the_record_says_so(run: Run, place: Path) -> None:
    letters = iter(["B", "The answer is (A).", "either"])
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    file = task(place, CHOICES, "choices")
    with serving(lambda _: chat(next(letters), usage=usage)) as server:
        code, err = run(
            *("--model", "openai:m", "--base-url", server.url, "--tasks", file, "--limit", "3"),
            *("--model-args", "concurrency=1,dollars_per_million_input_tokens=1000"),
        )
    assert code == 0, err
    (folder,) = (place / "runs" / "m").iterdir()
    result = read_result(folder)
    assert result.provenance.choices == "extracted letter"
    assert (result.counts["ok"], result.counts["unparsed"]) == (2, 1)
    assert result.provenance.cost == pytest.approx(0.03)
    assert "30 input and 3 output tokens cost 0.0300 dollars" in err


def test_an_address_without_a_served_model_is_refused(run: Run) -> None:
    code, err = run("--model", "whisper_base", "--base-url", "http://127.0.0.1:1", "--tasks", "mini_asr_en")
    assert code == 2
    assert "none of the models is served; name one as openai:NAME" in err


def test_a_loader_that_does_not_exist_gets_the_nearest_one(run: Run) -> None:
    code, err = run("--model", "opnai:gpt", "--tasks", "mini_asr_en")
    assert code == 2
    assert "unknown loader 'opnai'; did you mean 'openai'?" in err
