"""What a name means, and what is found where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.tasks import Catalog, TaskErrors, UnknownName, builtin_folder, find_tasks

TASK = """\
task: {name}
tag: [{tags}]
dataset_path: data
doc_to_text: "Transcribe the speech."
doc_to_target: text
metric_list: [{{metric: wer}}]
metadata: {{evalkit: {{family: asr, summary: about {name}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tasks = {"apple_red": "fruit, red", "apple_green": "fruit, green", "brick": "red", "cherry": "fruit, red"}
    for name, tags in tasks.items():
        (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name, tags=tags))
    (tmp_path / "suite.yaml").write_text("group: suite\ntask: [cherry, brick]\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "all.yaml").write_text("group: everything\ntask: [suite, green]\n")
    return tmp_path


@pytest.fixture
def catalog(folder: Path) -> Catalog:
    return find_tasks([folder])


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("brick", ["brick"]),
        ("fruit", ["apple_green", "apple_red", "cherry"]),
        ("suite", ["cherry", "brick"]),
        ("everything", ["cherry", "brick", "apple_green"]),
        ("brick,suite", ["brick", "cherry"]),
        (" brick , green ", ["brick", "apple_green"]),
        ("apple_*", ["apple_green", "apple_red"]),
        ("?rick", ["brick"]),
        ("suit*", ["cherry", "brick"]),
        (["red"], ["apple_red", "brick", "cherry"]),
    ],
)
def test_a_name_is_a_task_a_group_a_tag_or_a_pattern(catalog: Catalog, spec: str, names: list[str]) -> None:
    assert [task.name for task in catalog.resolve(spec)] == names


def test_a_file_is_a_task_too(catalog: Catalog, folder: Path) -> None:
    [task] = catalog.resolve(str(folder / "brick.yaml"))
    assert task.name == "brick"
    assert [task.name for task in catalog.resolve([str(folder / "brick.yaml"), "brick"])] == ["brick"]


def test_a_task_knows_its_groups(catalog: Catalog) -> None:
    assert catalog.load("brick").groups == ("everything", "suite")
    assert catalog.load("apple_red").groups == ()


def test_a_task_may_name_its_group_itself(folder: Path) -> None:
    (folder / "date.yaml").write_text(TASK.format(name="date", tags="brown") + "group: [suite, dried]\n")
    catalog = find_tasks([folder])
    assert catalog.members("suite") == ("cherry", "brick", "date")
    assert catalog.members("dried") == ("date",)
    assert catalog.load("date").groups == ("suite", "dried", "everything")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("brik", "brick"), ("fruits", "fruit"), ("sute", "suite"), ("mini_gendr", "mini_gender")],
)
def test_an_unknown_name_is_told_with_the_nearest(catalog: Catalog, name: str, nearest: str) -> None:
    with pytest.raises(UnknownName) as caught:
        catalog.resolve(f"brick,{name}")
    assert str(caught.value) == f"unknown task, group or tag {name!r}; did you mean {nearest!r}?"


def test_a_name_like_no_other_points_to_the_list(catalog: Catalog) -> None:
    with pytest.raises(UnknownName, match=r"unknown task, group or tag 'qqqqqq'; `evalkit tasks` lists them"):
        catalog.resolve("qqqqqq")


@pytest.mark.parametrize("spec", ["", " , ", []])
def test_no_name_is_an_error(catalog: Catalog, spec: str) -> None:
    with pytest.raises(UnknownName, match="no task was named"):
        catalog.resolve(spec)


def test_a_pattern_that_matches_nothing_is_an_error(catalog: Catalog) -> None:
    with pytest.raises(UnknownName, match=r"no task, group or tag matches 'zzz\*'"):
        catalog.resolve("zzz*")


def test_all_mistakes_of_all_tasks_are_told_at_once(folder: Path) -> None:
    for name in ("brick", "cherry"):
        path = folder / f"{name}.yaml"
        path.write_text(path.read_text() + "repeats: 0\n")
    with pytest.raises(TaskErrors) as caught:
        find_tasks([folder]).resolve("suite")
    assert len(caught.value.messages) == 2


def test_a_broken_file_is_listed_and_hides_no_other(folder: Path) -> None:
    (folder / "bad.yaml").write_text("task: [")
    (folder / "nothing.yaml").write_text("foo: 1\n")
    (folder / "_base.yaml").write_text("foo: 1\n")
    catalog = find_tasks([folder])
    assert "brick" in catalog.tasks
    assert [problem.removeprefix(f"{folder}/").split(": ", 1)[0] for problem in catalog.problems] == [
        "bad.yaml:2",
        "nothing.yaml",
    ]
    with pytest.raises(UnknownName, match=r"\(2 task files could not be read\)"):
        catalog.resolve("bad")


def test_two_tasks_of_one_name_are_refused_when_asked_for(folder: Path) -> None:
    (folder / "sub" / "again.yaml").write_text(TASK.format(name="brick", tags="red"))
    catalog = find_tasks([folder])
    assert len(catalog.problems) == 1
    assert catalog.resolve("cherry")
    for spec in ("brick", "suite"):
        with pytest.raises(
            TaskErrors, match=r"again\.yaml: 'brick' is already defined by .*brick\.yaml; rename"
        ):
            catalog.resolve(spec)


def test_a_file_of_the_same_name_as_a_known_task_is_refused_beside_it(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "brick.yaml").write_text(TASK.format(name="brick", tags="red"))
    catalog = find_tasks([folder / "sub"])
    with pytest.raises(TaskErrors, match="is called 'brick' like"):
        catalog.resolve([str(folder / "brick.yaml"), str(other / "brick.yaml")])


def test_groups_that_contain_each_other_are_found_out(folder: Path) -> None:
    (folder / "a.yaml").write_text("group: left\ntask: [right, brick]\n")
    (folder / "b.yaml").write_text("group: right\ntask: [left]\n")
    with pytest.raises(TaskErrors, match="groups contain each other: left -> right -> left"):
        find_tasks([folder]).resolve("left")


def test_a_group_may_be_named_like_the_tag_it_gathers(folder: Path) -> None:
    (folder / "fruit.yaml").write_text("group: fruit\ntask: [fruit, brick]\n")
    assert find_tasks([folder]).members("fruit") == ("apple_green", "apple_red", "cherry", "brick")


def test_a_group_that_names_what_does_not_exist_says_where(folder: Path) -> None:
    path = folder / "a.yaml"
    path.write_text("group: left\ntask: [brik]\n")
    with pytest.raises(TaskErrors) as caught:
        find_tasks([folder]).resolve("left")
    assert str(caught.value) == f"{path}: task: unknown task, group or tag 'brik'; did you mean 'brick'?"


def test_listing_shows_metrics_tags_and_summaries(catalog: Catalog) -> None:
    entry = catalog.tasks["brick"]
    assert (entry.metrics, entry.tags, entry.family, entry.summary) == (
        ("wer",),
        ("red",),
        "asr",
        "about brick",
    )
    assert catalog.tags["fruit"] == ("apple_green", "apple_red", "cherry")


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="there is no such folder"):
        find_tasks([tmp_path / "no"])


def test_hidden_folders_and_fragments_are_left_out(folder: Path) -> None:
    for name in (".hidden", "__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x.yaml").write_text(TASK.format(name="x", tags="red"))
    assert "x" not in find_tasks([folder]).tasks


def test_a_package_brings_tasks_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "their_benchmark"
    (package / "tasks").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tasks" / "__init__.py").touch()
    (package / "tasks" / "theirs.yaml").write_text(TASK.format(name="theirs", tags="guest"))
    info = tmp_path / "their_benchmark-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-benchmark\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[evalkit.tasks]\ngood = their_benchmark.tasks\ngone = their_benchmark.nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = find_tasks()
    assert [task.name for task in catalog.resolve("guest")] == ["theirs"]
    [problem] = catalog.problems
    assert problem.startswith("entry point gone = their_benchmark.nothing:")


def test_the_builtin_tasks_are_found_and_have_no_problems() -> None:
    catalog = find_tasks()
    assert catalog.problems == ()
    assert builtin_folder().is_dir()
    assert {"mini_asr_en", "mini_vocal_expression", "mini_emotion_acted"} <= set(catalog.tasks)
    assert "mini_asr_en" in catalog.members("asr")
    assert {"mini_vocal_expression", "mini_emotion_acted"} <= set(catalog.members("emotion"))
    assert set(catalog.members("mini")) >= {*catalog.members("mini_asr_en")}
    for name in catalog.tasks:
        assert catalog.load(name).name == name


def test_listing_a_hundred_tasks_loads_no_heavy_package(tmp_path: Path) -> None:
    for index in range(100):
        (tmp_path / f"t{index}.yaml").write_text(TASK.format(name=f"t{index}", tags="many"))
    program = (
        "import sys\nfrom evalkit.tasks import find_tasks\n"
        "print(len(find_tasks([sys.argv[1]]).members('many')))\n"
        "heavy = 'torch transformers datasets lm_eval pandas scipy sklearn jinja2 numpy soundfile'.split()\n"
        "print(*[name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.splitlines() == ["100", ""]
