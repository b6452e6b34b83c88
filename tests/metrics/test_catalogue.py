"""Metrics by name."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from evalkit import metrics
from evalkit.metrics import catalogue
from evalkit.metrics.accuracy import accuracy
from evalkit.text import versioned


@pytest.mark.parametrize("name", catalogue.BUILT_IN)
def test_every_built_in_metric_is_made_under_its_name(name: str) -> None:
    metric = metrics.get(name, {})
    assert metric.name == name
    assert metric.version >= 1
    assert json.loads(json.dumps(metric.settings)) == metric.settings


@pytest.mark.parametrize("name", catalogue.BUILT_IN)
def test_a_metric_that_has_a_normalizer_can_be_given_another(name: str) -> None:
    recorded = metrics.get(name, {}).settings
    if "normalizer" in recorded:
        other = metrics.get(name, {"normalizer": "none"}).settings
        assert other == {**recorded, "normalizer": versioned("none")}


def test_an_unknown_metric_gives_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="unknown metric 'werr'; did you mean 'wer'"):
        metrics.get("werr", {})


def test_an_unknown_option_gives_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"option of metric wer 'normaliser'; did you mean 'normalizer'"):
        metrics.get("wer", {"normaliser": "basic"})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wer", {"normalizer": "whisper"}, "unknown normalizer 'whisper'"),
        ("cer", {"normalizer": 3}, "must be a name"),
        ("uar", {"labels": "happy"}, "must be a list of strings"),
        ("macro_f1", {"labels": ["a", "a"]}, "lists a value twice"),
    ],
)
def test_a_bad_option_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.get(name, options)


def test_a_third_party_metric_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("their_accuracy", "evalkit.metrics.accuracy:accuracy", catalogue.ENTRY_POINTS)

    def installed(**wanted: str) -> EntryPoints:
        return EntryPoints([point]).select(**wanted)

    monkeypatch.setattr(catalogue, "entry_points", installed)
    assert "their_accuracy" in metrics.names()
    assert metrics.get("their_accuracy", {}) == accuracy({})


def test_listing_metrics_imports_no_heavy_library() -> None:
    code = (
        "import sys, evalkit.metrics as m; m.names(); heavy = 'torch sklearn scipy pandas jiwer rapidfuzz';"
        "print([name for name in heavy.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
