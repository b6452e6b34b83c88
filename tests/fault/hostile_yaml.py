"""Task files and model cards that try to run code, to fill the memory, or to read what is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trials import Expected, Trial

TASK = """\
task: hostile
dataset_path: data
doc_to_audio: audio
doc_to_text: "Say it."
doc_to_target: text
metric_list:
  - {metric: wer}
"""
CODE = (
    "!!python/object/apply:os.system ['touch canary']",
    "!!python/object:os.system x",
    "!!python/object/new:subprocess.Popen [[touch, canary]]",
    "!!python/name:os.system",
    "!!python/module:canary",
    "!!python/tuple [1, 2]",
    "!!binary aGVsbG8=",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!custom x",
    "!<tag:yaml.org,2002:python/name:os.system> x",
    "!function canary.run",
    "!include /etc/passwd",
    "!env HOME",
)
LAUGHS = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
LAUGHS += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
TEMPLATES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
    "{{ self.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch canary') }}",
    "{{ 'x' * 1000000000 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{{ text | attr('__class__') }}",
    "{{ unknown_column }}",
    "{% if %}",
    "{{",
)


def write_yaml(folder: Path, clip: bytes) -> list[Trial]:
    """`tasks validate` on every task file, `models show` on every card."""
    data = folder / "data"
    data.mkdir(parents=True)
    (data / "clip.wav").write_bytes(clip)
    (data / "test.jsonl").write_text('{"id": "a", "audio": "clip.wav", "text": "hello"}\n')
    (folder / "canary.py").write_text("open('canary', 'w').close()\nrun = print\n")
    trials = []
    for number, (name, content, says) in enumerate((*_tags(), *_shapes(), *_values(), *_includes(folder))):
        path = folder / f"y{number:02d}.yaml"
        path.write_bytes(content)
        trials.append(Trial(f"YAML {name}", ("tasks", "validate", str(path)), "refused", says))
    for number, (name, content, expected, says) in enumerate(_cards()):
        path = folder / f"card{number:02d}.yaml"
        path.write_bytes(content)
        trials.append(Trial(f"card {name}", ("models", "show", str(path)), expected, says))
    return trials


def _tags() -> Iterator[tuple[str, bytes, str]]:
    for value in CODE:
        says = "--allow-code" if value.startswith("!function") else "refused"
        yield f"description {value}", f"{TASK}description: {value}\n".encode(), says
    for value in CODE[:4]:
        text = TASK.replace('"Say it."', value)
        yield f"prompt {value}", text.encode(), "refused"
    for template in TEMPLATES:
        text = TASK.replace('"Say it."', "'" + template.replace("'", "''") + "'")
        yield f"template {template}", text.encode(), "doc_to_text"


def _shapes() -> Iterator[tuple[str, bytes, str]]:
    yield "billion laughs", "\n".join([*LAUGHS, TASK]).encode(), "aliases"
    yield "laughing merges", (TASK + "a: &a {b: 1}\n" + "c: {<<: [" + "*a, " * 30_000 + "]}\n").encode(), ""
    for name, text in (
        ("list", "a: &x [*x]\n"),
        ("mapping", "a: &x {b: *x}\n"),
        ("merge", "a: &x {<<: *x}\n"),
    ):
        yield f"a {name} in itself", (TASK + text).encode(), ""
    for sign in ("[", "{a: ", "- ", "? ", "!a ", "&a "):
        yield f"deep {sign!r}", (sign * 30_000).encode(), ""
    yield "a key that is a mapping", (TASK + "? {a: 1}\n: b\n").encode(), ""
    yield "a key twice", (TASK + "task: other\n").encode(), "task"
    yield "two documents", (TASK + "---\n" + TASK).encode(), ""
    yield "an unknown alias", (TASK + "group: *nobody\n").encode(), ""
    yield "tabs", TASK.replace(" ", "\t").encode(), ""
    yield "of 2 MB", (TASK + "#" * (2 << 20)).encode(), "larger than 1 MiB"
    yield "in UTF-16", TASK.encode("utf-16"), ""
    yield "in Latin-1", (TASK + "description: é\n").encode("latin-1"), ""
    yield "with control characters", (TASK + "description: \x1b[31mred\n").encode(), ""
    yield "with NUL", (TASK + "description: a\0b\n").encode(), ""
    yield "of random bytes", bytes(range(256)) * 20, ""
    for text in ("", "[]", "5", "hello", "null", "%YAML 9.9\n---\na: 1", "---\n...\n---\n"):
        yield f"that is {text!r}", text.encode(), ""


def _values() -> Iterator[tuple[str, bytes, str]]:
    wrong = {
        "metric_list: 5": "metric_list",
        "metric_list: [{metric: wre}]": "wer",
        "metric_list: [{metric: wer, normalizer: nobody}]": "nobody",
        "metric_list: []": "metric_list",
        "repeats: -1": "repeats",
        "repeats: " + "9" * 5000: "repeats",
        "repeats: 1e999": "repeats",
        "generation_kwargs: {max_gen_toks: -5}": "max_gen_toks",
        "generation_kwargs: {temperature: .nan}": "temperature",
        "output_type: rm_rf": "output_type",
        "doc_to_audoi: audio": "doc_to_audio",
        "filter_list: [{name: a, filter: [{function: regex, regex_pattern: '('}]}]": "regex",
        "filter_list: [{name: a, filter: [{function: os.system}]}]": "os.system",
        "dataset_path: /etc/passwd": "no data file",
        "dataset_path: ../../../../../../etc": "",
        "dataset_path: 'a\\0b'": "dataset_path",
        "test_split: ../../secret": "test_split",
        "task: ../../escape": "task",
        "task: ''": "task",
        "tag: {a: 1}": "tag",
    }
    for line, says in wrong.items():
        key = line.partition(":")[0]
        kept = [given for given in TASK.splitlines() if not given.startswith(key)]
        if key == "metric_list":
            kept = [given for given in kept if "metric: wer" not in given]
        yield line[:60], "\n".join([*kept, line, ""]).encode(), says


def _includes(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    (folder / "loop-a.yaml").write_text("include: loop-b.yaml\n" + TASK)
    (folder / "loop-b.yaml").write_text("include: loop-a.yaml\n")
    (folder / "link.yaml").symlink_to("/etc/passwd")
    for number in range(60):
        (folder / f"chain{number}.yaml").write_text(f"include: chain{number + 1}.yaml\n")
    (folder / "chain60.yaml").write_text(TASK)
    for target, says in (
        ("loop-a.yaml", "include"),
        ("/etc/passwd", "include"),
        ("../../../../../../etc/passwd", "include"),
        ("link.yaml", "include"),
        ("chain0.yaml", ""),
        ("gone.yaml", "gone.yaml"),
        ("data", "include"),
        ("http://example.org/task.yaml", "include"),
        ("[loop-b.yaml]", ""),
        ("canary.py", ""),
        ("/dev/zero", "include"),
        ("''", ""),
    ):
        yield f"include {target}", f"include: {target}\n{TASK}".encode(), says


def _cards() -> Iterator[tuple[str, bytes, Expected, str]]:
    good = "name: card\nloader: parrots\n"
    for value in CODE[:4]:
        yield value, f"{good}summary: {value}\n".encode(), "refused", "model card"
    yield "that loads a module", b"name: a\nloader: os:system\n", "either", ""
    for name in ("../../escape", "a/b", ".hidden", "", "'a b'", "-rf"):
        yield f"called {name}", f"name: {name}\nloader: parrots\n".encode(), "refused", "name"
    yield "billion laughs", "\n".join([*LAUGHS, good]).encode(), "refused", ""
    within = "\n  ".join([f"{good}config:", *LAUGHS])
    yield "billion laughs within", within.encode(), "refused", ""
    yield "in itself", f"{good}config: &x {{a: *x}}\n".encode(), "refused", ""
    yield "deep", (good + "config: " + "[" * 30_000).encode(), "refused", ""
    yield "of random bytes", bytes(range(256)) * 20, "refused", ""
    yield "of another shape", b"- a\n- b\n", "refused", ""
    yield "with unknown keys", f"{good}exec: rm\n".encode(), "refused", "exec"
    yield "of 2 MB", (good + "#" * (2 << 20)).encode(), "refused", ""
    yield "with escapes", f'{good}summary: "\\e[31mred\\e]0;x\\a"\n'.encode(), "fine", ""
