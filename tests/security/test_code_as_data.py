"""What could run code is refused unless the user says so, and stays in the source as an exception with a reason."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.security
ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for room in ("evalkit", "model_adapters") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN = {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
Call = Callable[..., subprocess.CompletedProcess[str]]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_source_unpickles_nothing_and_evaluates_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not FORBIDDEN & {name.split(".")[0] for name in names}
    for name, call in calls(tree):
        assert name not in {"eval", "exec", "os.system", "yaml.unsafe_load", "yaml.full_load"}
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if name == "torch.load":
            assert ast.unparse(given["weights_only"]) == "True"
        if name in {"np.load", "numpy.load"}:
            assert "allow_pickle" not in given or ast.unparse(given["allow_pickle"]) == "False"
        if name.startswith("subprocess."):
            assert "shell" not in given
        if "trust_remote_code" in given:
            assert ast.unparse(given["trust_remote_code"]) != "True"


TASK = """\
task: coded
dataset_path: data
doc_to_audio: audio
doc_to_text: !function canary.prompt
doc_to_target: text
metric_list: [{metric: wer}]
"""


def test_a_function_in_a_task_runs_with_the_flag_and_only_with_it(evalkit: Call, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.jsonl").write_text('{"id": "a", "audio": "a.wav", "text": "x"}\n')
    (tmp_path / "coded.yaml").write_text(TASK)
    (tmp_path / "canary.py").write_text(
        "from pathlib import Path\nPath(__file__).with_suffix('.ran').touch()\ndef prompt(doc): return 'Say it.'\n"
    )
    refused = evalkit("tasks", "validate", str(tmp_path / "coded.yaml"))
    assert refused.returncode == 2
    assert "--allow-code" in refused.stderr
    assert not (tmp_path / "canary.ran").exists()
    evalkit("tasks", "validate", str(tmp_path / "coded.yaml"), "--allow-code")
    assert (tmp_path / "canary.ran").exists()


def plain(name: str) -> str:
    """A package's name as indices compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_file_pins_every_package_but_torch_by_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pattern = r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)((?: *\\\n +--hash=sha256:[0-9a-f]{64})*)"
    blocks = re.findall(pattern, text, re.MULTILINE)
    pinned = {plain(name): version for name, version, _ in blocks}
    assert all(hashes for _, _, hashes in blocks)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    tested = {plain(name): version for name, version in pairs}
    assert {name for name in tested if name not in pinned} <= {"torch", "tomlkit"}
    assert {name: pinned[name] for name in pinned if name in tested} == {
        name: tested[name] for name in pinned if name in tested
    }
