from __future__ import annotations

import getpass
import platform
import subprocess
import sys
from pathlib import Path

from evalkit.model import ModelInfo
from evalkit.results.provenance import git_revision, package_versions, provenance, without_home


def test_provenance_names_versions_but_no_user_host_or_home() -> None:
    info = ModelInfo(
        "tiny", "f", "cpu", "float32", sources={"weights": f"{Path.home()}/secret/w.safetensors"}
    )
    record = provenance(info, batch_size="auto", seed=7)
    assert record.packages["numpy"]
    assert record.python == platform.python_version()
    assert (record.batch_size, record.seed, record.device) == ("auto", 7, "cpu")
    text = record.model_dump_json()
    assert str(Path.home()) not in text
    assert f'"{platform.node()}"' not in text
    assert f"/{getpass.getuser()}/" not in text
    assert record.sources == {"weights": "~/secret/w.safetensors"}


def test_the_home_folder_is_a_tilde(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HOME", "/home/ann")
    assert without_home("no file /home/ann/x.wav") == "no file ~/x.wav"
    monkeypatch.setenv("HOME", "/")
    assert without_home("/a/b") == "/a/b"


def test_the_revision_is_a_commit_or_nothing() -> None:
    commit, _, dirty = git_revision().partition("+")
    assert commit == "" or (len(commit) == 40 and set(commit) <= set("0123456789abcdef"))
    assert dirty in ("", "dirty")


def test_nothing_heavy_is_imported_to_know_versions() -> None:
    code = (
        "import sys; from evalkit.results.provenance import package_versions; assert package_versions();"
        "print([m for m in ('torch', 'transformers', 'datasets', 'lm_eval', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert package_versions()["torch"]
