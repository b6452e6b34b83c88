"""What is built in the cache is there whole or not at all, whoever is killed and whoever comes second."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.artifacts import ArtifactError, build_once, cache_dir

ROOT = Path(__file__).parents[2]

# Builds a folder of two files; between them it says so and waits until its stdin is closed.
BUILDER = """
import sys
from pathlib import Path
from evalkit.artifacts import build_once

def build(part):
    part.mkdir()
    (part / "first").write_text("1")
    print("building", flush=True)
    sys.stdin.read()
    (part / "second").write_text("2")

print(sorted(path.name for path in build_once(Path(sys.argv[1]), build).iterdir()), flush=True)
"""


def start_builder(target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def write_one(part: Path) -> None:
    part.write_text("one")


def test_a_file_is_built_once(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    assert build_once(target, write_one) == target
    assert build_once(target, lambda part: pytest.fail("built again")).read_text() == "one"


def test_a_failed_build_leaves_nothing_but_its_lock(tmp_path: Path) -> None:
    def fail(part: Path) -> None:
        part.mkdir()
        (part / "half").write_text("")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        build_once(tmp_path / "folder", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".folder.lock"]


def test_a_build_that_makes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing was made"):
        build_once(tmp_path / "file", lambda part: None)


@pytest.mark.fault
def test_a_killed_build_is_not_seen_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    builder = start_builder(target)
    assert builder.stdout is not None
    assert builder.stdout.readline() == "building\n"
    builder.kill()
    builder.communicate()
    assert not target.exists()
    assert list(tmp_path.glob(".folder.part-*/first"))

    output, _ = start_builder(target).communicate()
    assert output == "building\n['first', 'second']\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".folder.lock", "folder"]


@pytest.mark.fault
def test_a_second_process_says_that_it_waits_and_does_not_build(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    first = start_builder(target)
    assert first.stdout is not None
    assert first.stdout.readline() == "building\n"
    second = start_builder(target)
    assert second.stderr is not None
    assert second.stderr.readline() == f"waiting for another process that is making {target}\n"
    assert first.communicate()[0] == "['first', 'second']\n"
    assert second.communicate()[0] == "['first', 'second']\n"
    assert (first.returncode, second.returncode) == (0, 0)


def test_the_cache_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("EVALKIT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert cache_dir() == tmp_path / "user" / "evalkit"
