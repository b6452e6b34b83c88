"""Keys and the home folder are planted wherever a run meets them, and looked for in everything it leaves."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from parrots import write_card, write_task

pytestmark = pytest.mark.security
Call = Callable[..., subprocess.CompletedProcess[str]]
Survived = Callable[[str, int], None]

SECRETS = {
    "OPENAI_API_KEY": "sk-canary-0123456789abcdefghij",
    "HF_TOKEN": "hf_canaryCANARYcanary0123456789",
    "MY_SERVICE_PASSWORD": "swordfish-canary-42",
}
STRAY = "ghp_canaryCANARYcanary0123456789"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
HOSTILE = "\x1b[31mred\x1b]0;title\x07 <script>alert(1)</script> \u202edesrever\u2066"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder that holds data, task and model; the model fails with messages that tell too much."""
    home = tmp_path / "home-canary"
    data = home / "data"
    data.mkdir(parents=True)
    rows = []
    for number in range(6):
        soundfile.write(data / f"{number}.wav", np.full(800 + number, 0.1, np.float32), 16_000)
        name = HOSTILE if number == 0 else f"s{number}"
        rows.append({"id": name, "audio": f"{number}.wav", "text": "one two", "kind": HOSTILE})
    (data / "3.wav").unlink()
    (data / "4.wav").write_bytes(b"no audio")
    (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    leak = f"cannot open {home}/models/w.bin with {' '.join(SECRETS.values())} {STRAY} at http://me:pass-canary@host/v1"
    write_card(home / "parrot.yaml", fails_on=["s5"], reason=leak, says={"s1": HOSTILE, "s2": "\ud800 half"})
    spoken = {"evalkit": {"slices": ["kind"], "summary": HOSTILE.replace("\x1b", "").replace("\x07", "")}}
    write_task(home / "heard.yaml", str(data), metadata={"version": 1, **spoken})
    return home


def test_no_key_and_no_home_folder_is_in_anything_that_a_run_leaves(
    evalkit: Call, home: Path, tmp_path: Path, survived: Survived
) -> None:
    work, task = tmp_path / "work", str(home / "heard.yaml")
    variables = {**SECRETS, "HOME": str(home)}
    run = ("run", "--model", str(home / "parrot.yaml"), "--tasks", task, "--max-failures", "1")
    done = [evalkit(*run, **variables), evalkit(*run, "--json", **variables)]
    place = str(next(work.rglob("result.json")).parent.relative_to(work))
    for command in (
        *(
            ("leaderboard", "--output", f"boards/table{suffix}")
            for suffix in (".md", ".html", ".csv", ".tex", ".json")
        ),
        ("report", place, "--include-path", str(home)),
        ("rescore", place, "--normalizer", "whisper_en"),
        ("publish", "--output", "published"),
        ("verify", "published"),
    ):
        done.append(evalkit(*command, **variables))
    told = [(one.args[3], one.returncode, one.stderr[-300:]) for one in done if one.returncode]
    assert not told

    files = [path for path in work.rglob("*") if path.is_file()]
    assert len(files) > 12
    planted = [*SECRETS.values(), STRAY, "pass-canary", str(home)]
    found = [
        (str(path.relative_to(work)), canary)
        for path in files
        for canary in planted
        if canary.encode() in path.read_bytes()
    ]
    assert not found
    printed = "".join(one.stdout + one.stderr for one in done)
    assert not [canary for canary in planted if canary in printed]
    assert not CONTROLS.search(printed)
    survived("files searched for planted keys and home paths", len(files))

    pages = [path for path in files if path.suffix == ".html"]
    assert len(pages) >= 2
    for page in pages:
        text = page.read_text(encoding="utf-8")
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
        assert policy, f"{page} has no policy"
        assert "default-src 'none'" in policy[1].replace("&#39;", "'")
        assert "<script>alert(1)" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
