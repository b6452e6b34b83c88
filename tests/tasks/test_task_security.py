"""A task file is data: it runs nothing, reads nothing else, and stays small."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.tasks import PromptError, TaskErrors, load_task
from evalkit.tasks.document import check_task
from evalkit.tasks.source import MAX_BYTES, parse_text
from evalkit.tasks.templates import evaluate, syntax_problem

pytestmark = pytest.mark.security
Write = Callable[..., Path]


def told(path: Path) -> str:
    with pytest.raises(TaskErrors) as caught:
        load_task(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch canary']",
        "!!python/object:os.system x",
        "!!python/name:os.system",
        "!!python/module:os",
        "!!python/object/new:subprocess.Popen [[touch, canary]]",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!custom x",
        "!<tag:example.org,2026:x> y",
    ],
)
def test_yaml_tags_are_refused(write: Write, valid: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(f"{valid}description: {value}\n")
    monkeypatch.chdir(path.parent)
    message = told(path)
    assert f"{path}:9: description: the YAML tag" in message
    assert "is refused: task files are plain data" in message
    assert not (path.parent / "canary").exists()


def test_a_tag_on_a_key_is_refused(write: Write, valid: str) -> None:
    assert "is refused" in told(write(valid + "!!python/name:os.system x: 1\n"))


def test_functions_are_refused_without_the_flag(write: Write, valid: str) -> None:
    path = write(valid.replace('"Transcribe the speech."', "!function canary.run"))
    write("import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\nrun = print\n", "canary.py")
    assert told(path) == (
        f"{path}:5: doc_to_text: `!function canary.run` would run Python from the task's folder; "
        "pass --allow-code if you trust it"
    )
    assert not path.with_name("canary.ran").exists()


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x, x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines) + "\n"


def test_alias_bombs_stay_small_and_are_named(write: Write, valid: str) -> None:
    path = write(valid + bomb(12, 10))
    tracemalloc.start()
    message = told(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "expands to more than 20000 values (aliases?)" in message
    assert peak < 64 << 20


def test_a_few_aliases_are_fine(write: Write, valid: str) -> None:
    task = load_task(write(valid.replace("[asr, small]", "&tags [asr, small]") + "group: *tags\n"))
    assert task.groups == ("asr", "small")


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x {b: [1, {c: *x}]}"])
def test_an_anchor_in_itself_is_named(write: Write, valid: str, text: str) -> None:
    assert "an anchor contains itself" in told(write(valid + text + "\n"))


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 20_000, "- " * 20_000, "? " * 20_000])
def test_deep_nesting_is_refused_before_it_recurses(write: Write, text: str) -> None:
    assert "nested more than 32 deep" in told(write(text))


def test_a_huge_file_is_refused_unread(write: Write, valid: str) -> None:
    assert "is larger than 1 MiB: not a task file" in told(write(valid + "#" * MAX_BYTES))


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin"])
def test_a_device_is_not_read(path: str) -> None:
    assert told(Path(path)) == f"{path}: is not a file"


def test_a_number_of_many_digits_is_a_mistake(write: Write, valid: str) -> None:
    assert "is no int; quote it if it is text" in told(write(f"{valid}repeats: {'9' * 5000}\n"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ text.__class__.__base__.__subclasses__() }}",
        "{{ ''|attr('__class__') }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ get_flashed_messages.__globals__ }}",
        "{{ items.append(1) }}",
        "{{ items.__setitem__(0, 1) }}",
        "x{{ ''.__class__ }}",
        "x{{ items.clear() }}",
        "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os }}",
        "{% extends '/etc/passwd' %}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ items * 10 ** 8 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'x'.ljust(1000000000) }}",
        "{{ 'x' | center(1000000000) }}",
        "{% for i in range(100000) %}{{ text }}{{ text }}{{ text }}{% endfor %}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(template: str) -> None:
    fields = {"text": "hello" * 20, "items": [1, 2]}
    if syntax_problem(template):
        return
    with pytest.raises(PromptError):
        value = evaluate(template, "doc_to_text", fields, "sample 1")
        pytest.fail(f"rendered {value!r:.200}")
    assert fields == {"text": "hello" * 20, "items": [1, 2]}


WORDS = st.sampled_from(
    [
        "task", "tag", "group", "include", "doc_to_text", "doc_to_choice", "metric_list", "metric",
        "metadata", "evalkit", "generation_kwargs", "filter_list", "a", "",
        "{{ x }}", "{% if", "yes", "~", "<<", "1e999", "!!int", "&a", "*a", "\u2028", "\x85",
        "0x", "1:30", "=", ".nan",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
TASK_LIKE = st.dictionaries(WORDS, VALUES, max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TASK_LIKE)
def test_any_mapping_is_a_task_or_a_list_of_mistakes(data: dict[str, object]) -> None:
    source = parse_text(yaml.safe_dump(data, allow_unicode=True), Path("fuzz.yaml"))
    document = check_task(source)
    assert (document is None) <= bool(source.mistakes)
    assert all(str(mistake).startswith("fuzz.yaml:") for mistake in source.mistakes)
    assert all("\n" not in str(mistake) for mistake in source.mistakes)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@#?,\n\t <1.~\u00e9\x07"), max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    source = parse_text(text, Path("fuzz.yaml"))
    check_task(source)
    assert all(mistake.line >= 1 for mistake in source.mistakes)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}%# abtext|.()[]'+*~-_0123"), max_size=30))
def test_any_template_gives_a_value_or_a_prompt_error(text: str) -> None:
    if syntax_problem(text):
        return
    try:
        evaluate(text, "doc_to_text", {"text": "hello", "a": [1]}, "sample 1")
    except PromptError as error:
        assert str(error).startswith("sample 1: doc_to_text: ")
