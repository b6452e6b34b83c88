"""Steps of a `filter_list` chain: what happens to a response before an answer is sought in it.

| function | options | what it does |
|---|---|---|
| `regex` | regex_pattern, group_select (0), fallback (none) | the chosen match, its first non-empty group |
| `lowercase`, `uppercase` | | |
| `remove_whitespace`, `strip` | | white space off both ends |
| `map` | mapping_dict, default_value (none) | looks the text up |
| `take_first` | | scores the first repeat of every sample only |
| `normalize_length` | by: characters or tokens | choices only: log-likelihood divided by length |

Names and meaning are lm-evaluation-harness's, except that what does not match has no answer (status
`unparsed`) instead of "[invalid]" unless a fallback is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from evalkit.tasks.schema import FilterSpec, OutputType
from evalkit.text import unknown

TextStep = Callable[[str, Mapping[str, Any]], str | None]

_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "regex": ("regex_pattern", "group_select", "fallback"),
    "lowercase": (),
    "uppercase": (),
    "remove_whitespace": (),
    "strip": (),
    "map": ("mapping_dict", "default_value"),
    "take_first": (),
    "normalize_length": ("by",),
}
_FOR_CHOICES = ("take_first", "normalize_length")


def check(chain: FilterSpec, output_type: OutputType) -> None:
    """ValueError for a step, an option or a pattern that cannot be honoured."""
    for function, options in chain.steps:
        where = f"filter {chain.name!r}"
        if function not in _OPTIONS:
            raise ValueError(f"{where}: {unknown('function', function, _OPTIONS)}")
        for option in options:
            if option not in _OPTIONS[function]:
                raise ValueError(f"{where}: {unknown(f'option of {function}', option, _OPTIONS[function])}")
        if output_type == "multiple_choice" and function not in _FOR_CHOICES:
            raise ValueError(f"{where}: {function} works on text, but multiple_choice has log-likelihoods")
        if output_type == "generate_until" and function == "normalize_length":
            raise ValueError(f"{where}: normalize_length needs output_type multiple_choice")
        _check_options(where, function, options)


def filtered(text: str, chain: FilterSpec) -> str | None:
    """The text after all steps of the chain; None where a step found nothing."""
    for function, options in chain.steps:
        if function in _FOR_CHOICES:
            continue
        result = _STEPS[function](text, options)
        if result is None:
            return None
        text = result
    return text


def first_repeat_only(chain: FilterSpec) -> bool:
    return any(function == "take_first" for function, _ in chain.steps)


def length_unit(chain: FilterSpec) -> str:
    """What choice log-likelihoods are divided by: characters, tokens, or "" for nothing."""
    for function, options in chain.steps:
        if function == "normalize_length":
            return str(options.get("by", "characters"))
    return ""


def _check_options(where: str, function: str, options: Mapping[str, Any]) -> None:
    if function == "regex":
        _check_regex(where, options)
    elif function == "map" and not _is_text_map(options.get("mapping_dict")):
        raise ValueError(f"{where}: mapping_dict must map texts to texts")
    elif function == "normalize_length" and options.get("by", "characters") not in ("characters", "tokens"):
        raise ValueError(f"{where}: by must be characters or tokens, not {options['by']!r}")
    for option in ("fallback", "default_value"):
        if not isinstance(options.get(option), str | None):
            raise ValueError(f"{where}: {option} must be a text, not {options[option]!r}")


def _check_regex(where: str, options: Mapping[str, Any]) -> None:
    pattern, group = options.get("regex_pattern"), options.get("group_select", 0)
    if not isinstance(pattern, str):
        raise ValueError(f"{where}: regex needs a regex_pattern")
    if not isinstance(group, int) or isinstance(group, bool):
        raise ValueError(f"{where}: group_select must be a whole number, not {group!r}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{where}: regex_pattern {pattern!r} is not valid: {error}") from error


def _is_text_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(item, str) for key, item in value.items()
    )


def _regex(text: str, options: Mapping[str, Any]) -> str | None:
    fallback: str | None = options.get("fallback")
    matches = re.findall(options["regex_pattern"], text)
    select = options.get("group_select", 0)
    if not -len(matches) <= select < len(matches):
        return fallback
    match = matches[select]
    found = next((group for group in match if group), None) if isinstance(match, tuple) else match
    return fallback if found is None else found.strip()


def _map(text: str, options: Mapping[str, Any]) -> str | None:
    found: str | None = options["mapping_dict"].get(text, options.get("default_value"))
    return found


_STEPS: Mapping[str, TextStep] = {
    "regex": _regex,
    "lowercase": lambda text, _: text.lower(),
    "uppercase": lambda text, _: text.upper(),
    "remove_whitespace": lambda text, _: text.strip(),
    "strip": lambda text, _: text.strip(),
    "map": _map,
}
