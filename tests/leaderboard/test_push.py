"""Pushing to the hub: the real client against a small server on loopback; the hub itself is never reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import Hub, serving

from evalkit.leaderboard.publication import Target, parse_target, publish
from evalkit.leaderboard.stored import find_runs

PROGRAM = """
import sys
from pathlib import Path
from evalkit.leaderboard.publication import parse_target, push
try:
    print(push(Path(sys.argv[1]), parse_target(sys.argv[2])))
except (OSError, ValueError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def pushed(hub: Hub, folder: Path, address: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the client reads its settings when it is imported."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_test",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    environment.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", PROGRAM, str(folder), address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("hf://datasets/me/records", Target("me/records")),
        ("hf://datasets/me/re.cords@v1/deep/er/", Target("me/re.cords", "v1", "deep/er")),
    ],
)
def test_addresses_are_read(address: str, target: Target) -> None:
    assert parse_target(address) == target


@pytest.mark.parametrize(
    "address",
    ["me/records", "hf://models/me/x", "hf://datasets/me", "hf://datasets/me/x/../y", "https://x/y"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected hf://datasets/OWNER/NAME"):
        parse_target(address)


def test_a_push_makes_the_dataset_and_sends_what_was_published_and_nothing_else(
    runs: Path, tmp_path: Path
) -> None:
    folder = publish(find_runs([runs / "moe"]), tmp_path / "results").folder
    (folder / "private-notes.txt").write_text("mine")
    (folder / "moe" / "weights.bin").write_bytes(b"mine")
    stale = "sub/moe/words@00000000/result.json"
    with serving() as hub:
        hub.earlier = (stale, "sub/someone-elses.txt", "moe/words@00000000/result.json")
        done = pushed(hub, folder, "hf://datasets/me/records@branch/sub", tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "/datasets/me/records/commit/" in done.stdout
    assert [(made["name"], made["organization"], made["type"]) for made in hub.created] == [
        ("records", "me", "dataset")
    ]
    assert any(path.startswith("/api/datasets/me/records/commit/branch") for path in hub.paths)
    own = [path for path in folder.rglob("*") if path.is_file()]
    expected = {
        f"sub/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in own
        if path.name not in ("private-notes.txt", "weights.bin")
    }
    assert hub.files == expected
    assert hub.deleted == [stale]
    assert "Bearer hf_test" in hub.tokens


def test_what_the_hub_refuses_and_a_hub_that_is_not_there_are_one_message(runs: Path, tmp_path: Path) -> None:
    folder = publish(find_runs([runs / "moe"]), tmp_path / "results").folder
    with serving() as hub:
        hub.refusal = 403
        refused = pushed(hub, folder, "hf://datasets/me/records", tmp_path / "cache")
    lost = pushed(hub, folder, "hf://datasets/me/records", tmp_path / "cache")
    for done in (refused, lost):
        assert done.returncode == 1
        assert done.stderr.strip().startswith("OSError: me/records on the Hugging Face hub:")
        assert "Traceback" not in done.stderr
        assert "hf_test" not in done.stderr
    assert "403" in refused.stderr


def test_a_folder_that_does_not_hold_is_not_pushed(runs: Path, tmp_path: Path) -> None:
    folder = publish(find_runs([runs / "moe"]), tmp_path / "results").folder
    [path] = (folder / "moe").glob("words@*/result.json")
    record = json.loads(path.read_text())
    record["n"] = 25
    path.write_text(json.dumps(record))
    with serving() as hub:
        done = pushed(hub, folder, "hf://datasets/me/records", tmp_path / "cache")
    assert done.returncode == 1
    assert "does not hold, so it is not pushed: moe/words@" in done.stderr
    assert hub.paths == []
