"""`include:` lays files over each other and stays in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.tasks import TaskErrors, load_task

Write = Callable[..., Path]


def told(path: Path, root: Path | None = None) -> str:
    with pytest.raises(TaskErrors) as caught:
        load_task(path, root=root)
    return str(caught.value)


def test_own_keys_win_and_metadata_is_merged(write: Write, valid: str) -> None:
    write(valid + "metadata: {version: 3, evalkit: {family: asr, language: en}}\n", "_base.yaml")
    path = write(
        "include: _base.yaml\ntask: other\ntag: mine\nmetadata: {evalkit: {language: fr}}\n", "other.yaml"
    )
    task = load_task(path)
    assert (task.name, task.tags, task.doc_to_target) == ("other", ("mine",), "text")
    assert (task.version, task.meta.family, task.meta.language) == ("3", "asr", "fr")


def test_lists_and_chains_are_laid_in_order(write: Write, valid: str) -> None:
    write(valid, "_a.yaml")
    write("include: _a.yaml\ntest_split: one\ndescription: from b\n", "_b.yaml")
    write("test_split: two\n", "_c.yaml")
    task = load_task(write("include: [_b.yaml, _c.yaml]\ntask: last\n", "last.yaml"))
    assert (task.name, task.test_split, task.description) == ("last", "two", "from b")


def test_a_mistake_is_told_where_it_stands(write: Write, valid: str) -> None:
    base = write(valid + "repeats: none\n", "_base.yaml")
    path = write("include: _base.yaml\ntask: other\nfoo: 1\n", "other.yaml")
    assert told(path).splitlines() == [
        f"{base}:9: repeats: must be a whole number, not none",
        f"{path}:3: foo: unknown key; the keys here are {_keys()}",
    ]


def _keys() -> str:
    from evalkit.tasks.document import TaskDocument

    return ", ".join(sorted([*TaskDocument.model_fields, "include"]))


def test_two_tasks_may_share_a_base_file(write: Write, valid: str) -> None:
    write(valid, "_base.yaml")
    write("include: _base.yaml\n", "_left.yaml")
    write("include: _base.yaml\n", "_right.yaml")
    assert load_task(write("include: [_left.yaml, _right.yaml]\ntask: both\n")).name == "both"


@pytest.mark.security
@pytest.mark.parametrize("name", ["../outside.yaml", "sub/../../outside.yaml", "link/outside.yaml"])
def test_an_include_cannot_leave_its_folder(tmp_path: Path, valid: str, name: str) -> None:
    inside = tmp_path / "tasks"
    (inside / "sub").mkdir(parents=True)
    (inside / "link").symlink_to(tmp_path)
    (tmp_path / "outside.yaml").write_text(valid)
    path = inside / "a.yaml"
    path.write_text(f"include: {name}\n{valid}")
    assert f"{path}:1: include: {name!r} leaves the task folder" in told(path)


@pytest.mark.security
def test_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path, valid: str) -> None:
    inside = tmp_path / "tasks"
    inside.mkdir()
    (tmp_path / "outside.yaml").write_text(valid)
    (inside / "_base.yaml").symlink_to(tmp_path / "outside.yaml")
    path = inside / "a.yaml"
    path.write_text(f"include: _base.yaml\n{valid}")
    assert "leaves the task folder" in told(path)


def test_a_neighbour_is_allowed_within_a_wider_root(tmp_path: Path, valid: str) -> None:
    (tmp_path / "mini").mkdir()
    (tmp_path / "_base.yaml").write_text(valid)
    path = tmp_path / "mini" / "a.yaml"
    path.write_text("include: ../_base.yaml\ntask: a\n")
    assert load_task(path, root=tmp_path).name == "a"
    assert "leaves the task folder" in told(path)


@pytest.mark.security
@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("/etc/hostname", "'/etc/hostname' must be relative to"),
        ("missing.yaml", "'missing.yaml' does not exist beside"),
        ("3", "must be a file name, not 3"),
        ("''", "must be a file name, not "),
        ("[{a: b}]", "must be a file name, not {'a': 'b'}"),
        ('"a\\0b"', "is not a usable file name"),
    ],
)
def test_an_include_that_cannot_be_is_a_mistake(write: Write, valid: str, include: str, message: str) -> None:
    assert message in told(write(f"include: {include}\n{valid}"))


@pytest.mark.security
def test_files_that_include_each_other_are_found_out(write: Write, valid: str) -> None:
    write("include: b.yaml\n", "a.yaml")
    write("include: c.yaml\n", "b.yaml")
    path = write(f"include: a.yaml\n{valid}", "c.yaml")
    assert "files include each other: c.yaml -> a.yaml -> b.yaml -> c.yaml" in told(path)
    own = write(f"include: self.yaml\n{valid}", "self.yaml")
    assert "files include each other: self.yaml -> self.yaml" in told(own)


@pytest.mark.security
def test_a_long_chain_of_includes_ends(write: Write, valid: str) -> None:
    for index in range(50):
        write(f"include: f{index + 1}.yaml\n", f"f{index}.yaml")
    write(valid, "f50.yaml")
    assert "included more than 32 files deep" in told(write(f"include: f0.yaml\n{valid}"))
