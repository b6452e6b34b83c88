"""A task file says everything that is wrong with it, at once, with lines and nearest names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from evalkit.model import GenerationSettings
from evalkit.tasks import TaskErrors, load_task, new_task_yaml
from evalkit.tasks.schema import FilterSpec, MetricSpec

Write = Callable[..., Path]


def messages(path: Path, **options: object) -> list[str]:
    """The mistakes of a file, without its folder."""
    with pytest.raises(TaskErrors) as caught:
        load_task(path, **options)  # type: ignore[arg-type]
    return [message.removeprefix(f"{path.parent}/") for message in caught.value.messages]


def test_a_valid_file_becomes_a_task(write: Write, valid: str) -> None:
    task = load_task(write(valid))
    assert task.name == "greeting"
    assert task.tags == ("asr", "small")
    assert task.doc_to_audio == ("audio",)
    assert task.metrics == (MetricSpec("wer", {"normalizer": "whisper_en"}),)
    assert task.output_type == "generate_until"
    assert task.generation == GenerationSettings()
    assert task.test_split == "test"
    assert task.version == "1"


def test_every_key_has_its_place_in_the_task(write: Write, valid: str) -> None:
    task = load_task(
        write(
            valid
            + """\
group: suite
dataset_name: en
dataset_kwargs: {revision: main}
test_split: validation
description: "You are a helpful assistant."
doc_to_choice: [happy, sad]
generation_kwargs: {max_gen_toks: 7, do_sample: true, temperature: 0.5, top_p: 0.9, until: ["\\n"]}
filter_list:
  - name: first
    filter: [{function: regex, pattern: "(a)"}, {function: take_first}]
repeats: 3
metadata:
  version: 2.5
  evalkit: {family: asr, side: semantic, cluster: group, slices: [language], transcript: text}
"""
        )
    )
    assert task.groups == ("suite",)
    assert (task.dataset_name, task.dataset_kwargs, task.test_split) == (
        "en",
        {"revision": "main"},
        "validation",
    )
    assert task.doc_to_choice == ("happy", "sad")
    assert task.generation == GenerationSettings(7, True, 0.5, 0.9, ("\n",))
    assert task.filters == (FilterSpec("first", (("regex", {"pattern": "(a)"}), ("take_first", {}))),)
    assert (task.repeats, task.version) == (3, "2.5")
    assert (task.meta.family, task.meta.cluster, task.meta.slices) == ("asr", "group", ("language",))


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines(write: Write) -> None:
    path = write(
        """\
task: greeting
taks: 1
doc_to_txt: hi
dataset_path: 7
output_type: generate
doc_to_choice: [yes, no]
generation_kwargs: {max_tok: 3, do_sample: 1}
metric_list: []
num_fewshot: 0
metadata: {evalkit: {sid: x, side: semantics}}
doc_to_target: "{{ x "
"""
    )
    assert messages(path) == [
        "greeting.yaml:1: doc_to_text: is required",
        "greeting.yaml:2: taks: unknown key; did you mean 'task'?",
        "greeting.yaml:3: doc_to_txt: unknown key; did you mean 'doc_to_text'?",
        "greeting.yaml:4: dataset_path: must be text, not 7; quote it",
        "greeting.yaml:5: output_type: generate is not one of generate_until, multiple_choice; "
        "did you mean 'generate_until'?",
        "greeting.yaml:6: doc_to_choice[0]: must be text, not true; quote it",
        "greeting.yaml:6: doc_to_choice[1]: must be text, not false; quote it",
        "greeting.yaml:7: generation_kwargs.do_sample: must be true or false, not 1",
        "greeting.yaml:7: generation_kwargs.max_tok: unknown key; did you mean 'max_gen_toks'?",
        "greeting.yaml:8: metric_list: must hold at least 1, not a list of 0",
        "greeting.yaml:9: num_fewshot: is a key of lm-evaluation-harness that evalkit does not honour; "
        "remove it",
        "greeting.yaml:10: metadata.evalkit.side: semantics is not one of semantic, paralinguistic; "
        "did you mean 'semantic'?",
        "greeting.yaml:10: metadata.evalkit.sid: unknown key; did you mean 'side'?",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("group: {a: b}", "group: must be a list, not a mapping"),
        (
            "group: [a b]",
            "group[0]: must be letters, digits and `_ . + -`, at most 120, not beginning with a sign, "
            "not a b",
        ),
        ("repeats: 0", "repeats: must be greater than or equal to 1, not 0"),
        ("repeats: '2'", "repeats: must be a whole number, not 2"),
        ("generation_kwargs: [1]", "generation_kwargs: must be a mapping, not a list of 1"),
        (
            "generation_kwargs: {max_gen_toks: .inf}",
            "generation_kwargs.max_gen_toks: must be a whole number, not inf",
        ),
        (
            "generation_kwargs: {do_sample: true, temperature: 0}",
            "generation_kwargs: `do_sample: true` needs a temperature above 0",
        ),
        (
            "generation_kwargs: {temperature: 0.7}",
            "generation_kwargs: temperature and top_p do nothing without `do_sample: true`; "
            "say it or remove them",
        ),
        ("output_type: multiple_choice", "output_type: multiple_choice needs `doc_to_choice`"),
        ("doc_to_choice: [a]", "doc_to_choice: must hold at least 2, not a list of 1"),
        ("doc_to_choice: [a, b, a]", "doc_to_choice: 'a' is given twice"),
        ("description: 3", "description: must be text, not 3; quote it"),
        ("metadata: {version: true}", "metadata.version: must be text, not true; quote it"),
        (
            "filter_list: [{name: a, filter: []}]",
            "filter_list[0].filter: must hold at least 1, not a list of 0",
        ),
        ("filter_list: [{filter: [{function: x}]}]", "filter_list[0].name: is required"),
        ("dataset_kwargs: 1", "dataset_kwargs: must be a mapping, not 1"),
        ("test_split: ''", "test_split: must not be empty"),
        ("doc_to_text: again", "doc_to_text: is given twice (first on line 5)"),
        ("<<: {a: 1}", "<<: merge keys are not supported; use `include:`"),
        ("yes: 1", "a key must be text, not yes; quote it"),
        ("repeats: !!int x", "repeats: x is no int; quote it if it is text"),
    ],
)
def test_each_mistake_has_its_line_and_words(write: Write, valid: str, line: str, message: str) -> None:
    assert messages(write(valid + line + "\n")) == [f"greeting.yaml:9: {message}"]


@pytest.mark.parametrize("name", ["a/b", "../x", ".hidden", "-x", "a b", "a,b", "", "x" * 121, "a*"])
def test_a_name_must_be_fit_for_a_folder_and_a_command_line(write: Write, valid: str, name: str) -> None:
    told = messages(write(valid.replace("task: greeting", f"task: {name!r}")))
    assert len(told) == 1
    assert told[0].startswith("greeting.yaml:1: task: must be letters, digits")


@pytest.mark.parametrize("missing", ["task", "dataset_path", "doc_to_text", "doc_to_target", "metric_list"])
def test_what_is_required_is_named(write: Write, valid: str, missing: str) -> None:
    lines = [line for line in valid.splitlines() if not line.startswith(missing)]
    lines = [line for line in lines if not (missing == "metric_list" and line.startswith("  -"))]
    assert messages(write("\n".join(lines))) == [f"greeting.yaml:1: {missing}: is required"]


@pytest.mark.parametrize(
    "template", ["{{ text", "{% if text %}x", "{{ text | no_such_filter }}", "{% no_such_tag %}"]
)
def test_a_template_that_is_no_jinja_is_a_mistake_of_its_line(
    write: Write, valid: str, template: str
) -> None:
    path = write(valid.replace('"Transcribe the speech."', f'"{template}"'))
    [told] = messages(path)
    assert told.startswith("greeting.yaml:5: doc_to_text: is not valid Jinja: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "greeting.yaml:1: is empty"),
        ("# nothing but a remark\n", "greeting.yaml:1: is empty"),
        ("- a\n- b\n", "greeting.yaml:1: must hold keys and values (`task: name` ...)"),
        ("just words", "greeting.yaml:1: must hold keys and values (`task: name` ...)"),
        ("task: a\n---\ntask: b\n", "greeting.yaml:2: is not valid YAML: but found another document"),
        ("task: [a\nb: c\n", "greeting.yaml:2: is not valid YAML: did not find expected ',' or ']'"),
        (
            "task: a\n\tb: c\n",
            "greeting.yaml:2: is not valid YAML: found a tab character that violates indentation",
        ),
        (b"task: caf\xe9\n", "greeting.yaml:1: is not UTF-8; save it as UTF-8"),
        ("task: x".encode("utf-16"), "greeting.yaml:1: is UTF-16; save it as UTF-8"),
    ],
)
def test_what_is_no_task_file_says_why(write: Write, text: str | bytes, message: str) -> None:
    assert messages(write(text)) == [message]


def test_control_characters_are_refused(write: Write, valid: str) -> None:
    [told] = messages(write(valid + "description: a\x00b\n"))
    assert told.startswith("greeting.yaml:1: is not valid YAML:")


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    assert messages(tmp_path / "no.yaml") == ["no.yaml: cannot be read: No such file or directory"]
    assert messages(tmp_path) == [f"{tmp_path.name}: is not a file"]


@pytest.mark.parametrize(
    "change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")], ids=["bom", "crlf"]
)
def test_bom_and_crlf_change_nothing(write: Write, valid: str, change: Callable[[str], str]) -> None:
    plain, changed = load_task(write(valid)), load_task(write(change(valid), "changed.yaml"))
    assert (plain.name, plain.doc_to_text, plain.metrics) == (
        changed.name,
        changed.doc_to_text,
        changed.metrics,
    )


def test_greedy_decoding_is_one_setting_however_it_is_said(write: Write, valid: str) -> None:
    ways = ["{do_sample: false}", "{temperature: 0.0}", "{do_sample: false, temperature: 0, top_p: 1.0}"]
    tasks = [
        load_task(write(f"{valid}generation_kwargs: {way}\n", f"{i}.yaml")) for i, way in enumerate(ways)
    ]
    assert {task.generation for task in tasks} == {GenerationSettings()}


def test_a_date_or_an_odd_number_as_text_stays_text(write: Write, valid: str) -> None:
    task = load_task(write(valid + "metadata: {version: 2026-01-31}\n"))
    assert task.version == "2026-01-31"


def test_a_file_of_a_group_is_no_task(write: Write) -> None:
    assert messages(write("group: all\ntask: [a, b]\n")) == [
        "greeting.yaml:1: group: this file names a group of tasks, not a task"
    ]


def test_the_starter_is_valid_as_it_stands(write: Write) -> None:
    task = load_task(write(new_task_yaml("my_task")))
    assert task.name == "my_task"
    assert task.metrics[0].metric == "wer"


@pytest.mark.parametrize("name", ["", "a b", "../x", "x\ny: z"])
def test_the_starter_refuses_a_name_that_no_task_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="is no task name"):
        new_task_yaml(name)


def test_functions_beside_the_file_run_when_allowed(write: Write, valid: str) -> None:
    write("def prompt(doc):\n    return 'Say ' + doc['text']\n", "prompts.py")
    path = write(valid.replace('"Transcribe the speech."', "!function prompts.prompt"))
    task = load_task(path, allow_code=True)
    assert task.doc_to_text.call({"text": "hi"}) == "Say hi"  # type: ignore[union-attr]
    assert task.doc_to_text.name == "prompts.prompt"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prompts.missing", "has no function 'missing'"),
        ("prompts.VALUE", "has no function 'VALUE'"),
        ("other.prompt", "cannot be read: No such file or directory"),
        ("broken.prompt", "fails with ZeroDivisionError('division by zero')"),
        ("../prompts.prompt", "must be module.function, the module beside this file"),
        ("prompt", "must be module.function, the module beside this file"),
        ("os.path.join", "must be module.function, the module beside this file"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_a_mistake(
    write: Write, valid: str, name: str, message: str
) -> None:
    write("VALUE = 1\n", "prompts.py")
    write("1 / 0\n", "broken.py")
    path = write(valid.replace('"Transcribe the speech."', f"!function {name}"))
    [told] = messages(path, allow_code=True)
    assert told.startswith("greeting.yaml:5: doc_to_text: !function")
    assert message in told


def test_loading_a_task_logs_nothing(write: Write, valid: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        load_task(write(valid))
    assert caplog.records == []
