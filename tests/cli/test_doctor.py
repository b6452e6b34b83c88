"""`evalkit doctor` says whether this machine is ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from evalkit import doctor


def test_this_machine_is_ready(evalkit: Callable[..., Any], place: Path) -> None:
    before = sorted(place.rglob("*"))
    done = evalkit("doctor", "--json")
    findings = {one["check"]: one for one in json.loads(done.out)}
    assert done.code == 0
    assert {one["state"] for one in findings.values()} <= {"ok", "warning"}
    assert findings["audio codecs"]["found"].endswith(": WAV, FLAC, Ogg Vorbis, Opus, MP3")
    assert findings["locks"]["found"] == "work"
    assert sorted(place.rglob("*")) == before


def test_a_package_that_is_missing_or_too_old_is_named_with_its_remedy(
    evalkit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "jiwer":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "soxr" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    done = evalkit("doctor")
    assert done.code == 1
    assert "pip install 'jiwer<5,>=4.0'" in done.out
    assert "pip install 'soxr>=0.5'" in done.out


def test_a_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = {one.check: one for one in doctor.examine(Path("/proc/runs"))}
    assert places["output"].state == places["locks"].state == "problem"
    assert "--output" in places["output"].advice


@pytest.mark.parametrize(("free", "state"), [(1 << 20, "warning"), (1 << 40, "ok")])
def test_a_full_disk_is_told_before_it_matters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    assert {one.state for one in doctor.examine(tmp_path) if one.check == "output"} == {state}
