"""Sandboxed Jinja over a sample's fields.

Templates are data: they see the fields and nothing else, cannot reach Python's internals, cannot change
what they are given, and cannot build more than `MAX_TEXT` characters by repetition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evalkit.tasks.errors import PromptError
from evalkit.tasks.schema import TaskFunction, Template

MAX_TEXT = 1 << 20
_EXPRESSION = re.compile(r"\s*\{\{((?:(?!\}\}|\{\{).)*)\}\}\s*", re.DOTALL)
_BARE_NAME = re.compile(r"[a-z_][a-z0-9_]*")
# What evaluating an expression over data can raise.
_FAILURES = (
    jinja2.TemplateError,
    ArithmeticError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    RecursionError,
)


# Methods that make any length of text from a number.
_PADDING = frozenset(["center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill"])


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["*", "**", "%"])

    def wrap_str_format(self, value: Any) -> None:
        """No `str.format`, which the parent class would let through."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not (isinstance(obj, str) and attr in _PADDING) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "*" and _repeated(left, right) > MAX_TEXT:
            raise SecurityError(f"a repetition longer than {MAX_TEXT} characters")
        if operator == "**" and not (abs(left) < 1e6 and abs(right) < 64):
            raise SecurityError("a power that is too large")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting by %; use ~ or {{ }}")
        return super().call_binop(context, operator, left, right)


def _repeated(left: Any, right: Any) -> int:
    """Length of a sequence times a number; 0 for a product of numbers."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple) and isinstance(count, int):
            return len(sequence) * count
    return 0


def _present(value: Any) -> Any:
    if value is None:
        raise ValueError("a value is empty (null)")
    return value


@lru_cache(maxsize=1)
def _shared() -> _Environment:
    environment = _Environment(
        undefined=jinja2.StrictUndefined, autoescape=False, cache_size=0, finalize=_present
    )
    environment.globals = {"range": environment.globals["range"]}
    for name in ("center", "format", "indent", "wordwrap", "xmlattr", "pprint"):
        del environment.filters[name]
    return environment


@lru_cache(maxsize=512)
def _compiled(text: str) -> jinja2.Template:
    return _shared().from_string(text)


@lru_cache(maxsize=512)
def _expression(text: str) -> Callable[..., Any]:
    return _shared().compile_expression(text, undefined_to_none=False)


def syntax_problem(text: str) -> str:
    """What is wrong with a template's syntax, "" if nothing."""
    try:
        _shared().compile(text, raw=True)
    except jinja2.TemplateSyntaxError as error:
        return f"is not valid Jinja: {error.message} (template line {error.lineno})"
    except (RecursionError, ValueError, OverflowError, SyntaxError, MemoryError) as error:
        return f"is not usable as Jinja: {error}"
    return ""


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def evaluate(template: Template, key: str, fields: Mapping[str, Any], where: str) -> Any:
    """The value of a `doc_to_*`: a column's own value, an expression's own value, or rendered text.

    A text that is exactly a column name means that column; a text that is exactly one `{{ expression }}`
    keeps the expression's type. A lone lower-case word that is no column is refused, as it is nearly
    always a column that the data lacks. Raises PromptError naming `key`, `where` and the columns.
    """
    if isinstance(template, TaskFunction):
        return _call(template, key, fields, where)
    if template in fields:
        return fields[template]
    if not is_template(template):
        if _BARE_NAME.fullmatch(template):
            raise PromptError(f"{where}: {key}: there is no column {template!r}; {_columns(fields)}")
        return template
    alone = _EXPRESSION.fullmatch(template)
    try:
        if alone:
            value = _expression(alone.group(1).strip())(dict(fields))
            if isinstance(value, jinja2.Undefined):
                str(value)
            return value
        return _bounded(_compiled(template), fields)
    except _FAILURES as error:
        raise PromptError(f"{where}: {key}: {error}; {_columns(fields)}") from None


def render(template: Template, key: str, fields: Mapping[str, Any], where: str) -> str:
    """`evaluate` as text. Raises PromptError, also for a value that is missing."""
    value = evaluate(template, key, fields, where)
    if value is None:
        raise PromptError(f"{where}: {key}: the value is empty (null)")
    if isinstance(value, Mapping | list | tuple | bytes):
        raise PromptError(f"{where}: {key}: the value is a {type(value).__name__}, not text")
    return str(value)


def _bounded(template: jinja2.Template, fields: Mapping[str, Any]) -> str:
    parts: list[str] = []
    length = 0
    for part in template.generate(dict(fields)):
        length += len(part)
        if length > MAX_TEXT:
            raise SecurityError(f"more than {MAX_TEXT} characters of text")
        parts.append(part)
    return "".join(parts)


def _call(function: TaskFunction, key: str, fields: Mapping[str, Any], where: str) -> Any:
    try:
        return function.call(dict(fields))
    except Exception as error:
        raise PromptError(f"{where}: {key}: !function {function.name} fails with {error!r}") from error


def _columns(fields: Mapping[str, Any]) -> str:
    return f"the columns are {', '.join(sorted(fields)) or 'none'}"
