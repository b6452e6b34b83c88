"""The floors of design.md, read from the syntax tree: who may import whom, and what is imported early."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {"evalkit", "evalkit.model", "evalkit.inside", "evalkit.tasks.schema", "evalkit.results.record"}
FLOORS = {
    **dict.fromkeys(("text", "stats", "artifacts"), 1),
    **dict.fromkeys(("metrics", "tasks", "cards"), 2),
    **dict.fromkeys(("results", "data"), 3),
    **dict.fromkeys(("runner", "scoring"), 4),
    **dict.fromkeys(("leaderboard", "diagnostics", "interop", "evaluation", "doctor"), 5),
    "cli": 6,
    "__main__": 7,
}
ADAPTERS_MAY_IMPORT = {"data", "tasks", "artifacts"}
HEAVY = {"torch", "transformers", "datasets", "lm_eval", "sklearn", "pandas", "scipy", "peft", "accelerate"}

FILES = sorted(
    path.relative_to(ROOT)
    for package in ("evalkit", "model_adapters")
    for path in (ROOT / package).rglob("*.py")
)
# An adapter's own modules are imported when its model is loaded; its package is looked at before that.
LOOKED_AT = [path for path in FILES if path.parts[0] == "evalkit" or path.name == "__init__.py"]


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that the code imports, at whatever depth, as far as its name can be told."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            if node.module in ("evalkit", "model_adapters"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def at_top(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported when this one is: not inside a function, not under TYPE_CHECKING."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        waiting += ast.iter_child_nodes(node)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def on_ground(module: str) -> bool:
    return (
        module in GROUND
        or module == "evalkit.__version__"
        or module.rpartition(".")[0] in GROUND - {"evalkit"}
    )


def refused(module: str, target: str) -> str:
    """Why `module` may not import `target`; nothing if it may."""
    package, other = module.split(".")[0], target.split(".")[0]
    if other == "lm_eval" and room(module) != "interop":
        return "only interop imports lm_eval"
    if other not in ("evalkit", "model_adapters"):
        return ""
    if package == other == "model_adapters":
        return ""
    if other == "model_adapters":
        return "evalkit finds adapters through entry points"
    if on_ground(target):
        return ""
    if package == "model_adapters":
        return "" if room(target) in ADAPTERS_MAY_IMPORT else "not among what model_adapters may import"
    if on_ground(module):
        return "the ground floor imports no room"
    if room(target) not in FLOORS:
        return f"{room(target)} has no floor"
    if room(target) == room(module):
        return ""
    return "" if FLOORS[room(target)] < FLOORS[room(module)] else "not from a lower floor"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    module = module_name(path)
    targets = imported(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    wrong = {target: why for target in targets if (why := refused(module, target))}
    assert not wrong


@pytest.mark.parametrize("path", LOOKED_AT, ids=str)
def test_heavy_packages_are_imported_where_they_are_needed(path: Path) -> None:
    early = {name.split(".")[0] for name in at_top(ast.parse((ROOT / path).read_text(encoding="utf-8")))}
    assert not early & HEAVY


@pytest.mark.parametrize("path", [path for path in FILES if len(path.parts) > 1], ids=str)
def test_every_room_has_a_floor(path: Path) -> None:
    module = module_name(path)
    assert module.startswith("model_adapters") or module in GROUND or room(module) in FLOORS


@pytest.mark.parametrize(
    ("module", "target", "why"),
    [
        ("evalkit.runner.engine", "evalkit.metrics", ""),
        ("evalkit.runner.engine", "evalkit.results.record", ""),
        ("evalkit.runner.engine", "evalkit.scoring", "not from a lower floor"),
        ("evalkit.scoring.score", "evalkit.runner.engine", "not from a lower floor"),
        ("evalkit.results.store", "evalkit.cli.main", "not from a lower floor"),
        ("evalkit.tasks.schema", "evalkit.tasks.loading", "the ground floor imports no room"),
        ("evalkit.tasks.schema", "evalkit.model", ""),
        ("evalkit.cli.run", "model_adapters.audio_llm", "evalkit finds adapters through entry points"),
        ("evalkit.cli.run", "lm_eval.api", "only interop imports lm_eval"),
        ("evalkit.interop.lm_eval", "lm_eval.api", ""),
        ("model_adapters.whisper", "evalkit.data.audio", ""),
        ("model_adapters.whisper", "evalkit.runner", "not among what model_adapters may import"),
    ],
)
def test_the_rule_itself(module: str, target: str, why: str) -> None:
    assert refused(module, target) == why


def test_imports_inside_functions_are_seen_but_are_not_early() -> None:
    tree = ast.parse("import json\ndef f():\n    import torch\n    from evalkit import cards\n")
    assert set(imported(tree)) == {"json", "torch", "evalkit.cards"}
    assert set(at_top(tree)) == {"json"}


def test_imports_in_classes_and_conditions_are_early_unless_for_type_checking() -> None:
    tree = ast.parse(
        "class A:\n    import torch\n"
        "if TYPE_CHECKING:\n    import pandas\nelse:\n    import scipy\n"
        "try:\n    import peft\nexcept ImportError:\n    pass\n"
    )
    assert set(at_top(tree)) == {"torch", "scipy", "peft"}
