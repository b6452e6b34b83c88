"""A model that raises, never ends or gives no numbers costs its own samples, and the exit code says so."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from clips import Ours, clips_task, write_clips
from kills import Zygote, zygote
from parrots import write_card

from evalkit.evaluation import evaluate
from evalkit.model import Prepared
from evalkit.results import RunLockedError, hold
from evalkit.runner import RunSettings, run_task

pytestmark = pytest.mark.fault
Survived = Callable[[str, int], None]


def names(batch: Sequence[Prepared]) -> set[str]:
    return {one.request.sample_id for one in batch}


def test_an_endless_generation_is_ended_and_costs_its_own_sample(tmp_path: Path) -> None:
    def endless(batch: Sequence[Prepared]) -> None:
        while "s2" in names(batch):
            time.sleep(0.001)

    settings = RunSettings(tmp_path / "runs", batch_size=2, max_seconds=0.3, max_failures=0.1)
    done = run_task(Ours(endless), clips_task(tmp_path, 6), settings)
    errors = {one.id: one.response.error for one in done.entries if one.response.error}
    assert errors == {"s2": "no answer within 0.3 s (--max-seconds)"}
    assert [one.response.text is None for one in done.entries].count(True) == 1
    assert done.too_many_failures
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_a_generation_that_swallows_the_first_end_is_ended_again(tmp_path: Path) -> None:
    def stubborn(batch: Sequence[Prepared]) -> None:
        for _ in range(2 * ("s1" in names(batch))):
            try:
                time.sleep(30)
            except TimeoutError:
                continue
        if "s1" in names(batch):
            time.sleep(30)

    settings = RunSettings(tmp_path / "runs", batch_size=1, max_seconds=0.2)
    done = run_task(Ours(stubborn), clips_task(tmp_path, 3), settings)
    assert [one.response.error is None for one in done.entries] == [True, False, True]


def test_a_quick_answer_leaves_no_alarm_behind(tmp_path: Path) -> None:
    done = run_task(Ours(), clips_task(tmp_path, 4), RunSettings(tmp_path / "runs", max_seconds=0.5))
    time.sleep(0.7)
    assert done.failures == 0


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_senseless_limit_is_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="max seconds must be more than 0"):
        run_task(Ours(), clips_task(tmp_path, 1), RunSettings(tmp_path / "runs", max_seconds=seconds))


def test_nothing_but_the_run_itself_writes_while_it_is_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evalkit import evaluation

    real, tried = evaluation.write_result, []

    def write(folder: Path, result: object) -> None:
        with pytest.raises(RunLockedError, match="is running here"), hold(folder):
            pass
        tried.append(folder)
        real(folder, result)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "write_result", write)
    done = evaluate(Ours(), clips_task(tmp_path, 3), RunSettings(tmp_path / "runs"))
    assert tried == [done.run.folder]
    with hold(done.run.folder):
        pass


def test_logits_that_are_no_numbers_are_an_error_of_their_own_row() -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from evalkit.model import GenerationSettings
    from model_adapters.audio_llm.answers import NOT_FINITE, generated

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, num_key_value_heads=1, **sizes)).eval()

    class Letters:
        def decode(self, tokens: Sequence[int], skip_special_tokens: bool) -> str:
            return "".join(chr(97 + token % 26) for token in tokens)

    good, bad = torch.randn(4, 16), torch.full((4, 16), torch.nan)
    asked = [GenerationSettings(max_new_tokens=3)]
    with torch.no_grad():
        first, second, third = generated(model, Letters(), [good, bad, good], asked * 3, [49])
    assert (second.error, second.text) == (NOT_FINITE, None)
    assert first == third
    assert first.error is None


@pytest.fixture(scope="module")
def evalkit(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    with zygote(
        site, tmp_path_factory.mktemp("zygote"), ["evalkit.cli.main", "evalkit.evaluation"]
    ) as forked:
        yield forked


@pytest.mark.parametrize(
    ("fails", "allowed", "code"), [(1, "0.05", 1), (1, "0.5", 0), (6, "1", 0), (6, "0.5", 1)]
)
def test_the_exit_code_says_whether_too_many_answers_failed(
    evalkit: Zygote, tmp_path: Path, fails: int, allowed: str, code: int
) -> None:
    card = write_card(tmp_path / "parrot.yaml", fails_on=[f"s{number}" for number in range(fails)])
    task = write_clips(tmp_path, 6)
    arguments = ["run", "--model", str(card), "--tasks", str(task), "--max-failures", allowed]
    assert evalkit.run(tmp_path / "work", arguments)[0] == code
    (place,) = (tmp_path / "work").rglob("result.json")
    assert json.loads(place.read_bytes())["counts"]["error"] == fails
    said = (tmp_path / "work/log.txt").read_text()
    assert f"{fails} of 6 answers are errors" in said
    assert "RuntimeError: out of seed" in said
