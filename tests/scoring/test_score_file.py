"""Scoring a JSONL of predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.scoring import read_predictions, score_file
from evalkit.tasks.schema import MetricSpec

GOOD = b"""\xef\xbb\xbf{"id": 1, "prediction": "a b c", "reference": "a b d"}\r
{"id": "2", "prediction": null, "references": ["e f", "g"], "language": "en"}

{"id": "3", "prediction": "", "reference": "h"}"""


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(content)
    return path


def test_a_file_is_scored_by_the_same_code(tmp_path: Path) -> None:
    scored = score_file(written(tmp_path, GOOD), [MetricSpec("wer")])
    assert scored.metrics["wer,none"].value == pytest.approx(4 / 6)
    assert scored.counts == {"ok": 1, "empty": 1, "truncated": 0, "unparsed": 0, "error": 1}


def test_other_keys_are_kept_as_fields(tmp_path: Path) -> None:
    assert read_predictions(written(tmp_path, GOOD))[1].fields == {"language": "en"}


def test_choices_are_extracted_and_clusters_kept(tmp_path: Path) -> None:
    answer = b'"prediction": "(B)", "reference": "sad", "choices": ["happy", "sad"]'
    line = b'{"id": "%d", ' + answer + b', "cluster": "v%d"}\n'
    content = b"".join(line % (i, i % 11) for i in range(33))
    found = score_file(written(tmp_path, content), [MetricSpec("accuracy")]).metrics["accuracy,none"]
    assert (found.value, found.clusters) == (1, 11)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "line 2: is not JSON"),
        (b"[1]", "line 2: must be a JSON object"),
        (b'{"id": "2", "reference": "a"}', "line 2: key 'prediction' is missing"),
        (b'{"prediction": "a", "reference": "a"}', "line 2: key 'id' is missing"),
        (b'{"id": "2", "prediction": "a"}', "line 2: needs either 'reference'"),
        (b'{"id": "2", "prediction": "a", "reference": "a", "references": ["a"]}', "line 2: needs either"),
        (b'{"id": "2", "prediction": "a", "references": []}', "line 2: 'references' is empty"),
        (b'{"id": "2", "prediction": "a", "references": "a"}', "line 2: 'references' must be a list"),
        (b'{"id": "2", "prediction": ["a"], "reference": "a"}', "line 2: 'prediction' must be a text"),
        (b'{"id": "1", "prediction": "a", "reference": "a"}', "line 2: id '1' was already used in line 1"),
        (b'{"id": "2", "prediction": "\xff", "reference": "a"}', "line 2: is not UTF-8"),
        (b"[" * 200_000, "line 2: is not"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    first = b'{"id": "1", "prediction": "a", "reference": "a"}\n'
    with pytest.raises(ValueError, match=message):
        read_predictions(written(tmp_path, first + line))


def test_many_bad_lines_give_one_short_message(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 5[^\x00]*and 995 more") as caught:
        read_predictions(written(tmp_path, b"{\n" * 1000))
    assert len(str(caught.value)) < 1000


def test_an_empty_file_holds_no_predictions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no predictions"):
        read_predictions(written(tmp_path, b"\n\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_predictions(tmp_path / "nowhere.jsonl")


def test_a_bad_metric_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="did you mean 'wer'"):
        score_file(tmp_path / "nowhere.jsonl", [MetricSpec("werr")])
