"""Reading the options of a metric: what YAML or the command line gave, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from evalkit.text import normalize, unknown


def known(metric: str, options: Mapping[str, Any], allowed: Collection[str]) -> None:
    """ValueError for an option that the metric does not have."""
    for option in options:
        if option not in allowed:
            raise ValueError(unknown(f"option of metric {metric}", option, allowed))


def normalizer(metric: str, options: Mapping[str, Any], default: str) -> str:
    """The name of an existing normaliser."""
    name = options.get("normalizer", default)
    if not isinstance(name, str):
        raise ValueError(f"metric {metric}: normalizer must be a name, not {name!r}")
    normalize(name)
    return name


def strings(metric: str, options: Mapping[str, Any], option: str) -> tuple[str, ...]:
    """A list of distinct strings; empty if the option is missing."""
    value = options.get(option, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"metric {metric}: {option} must be a list of strings, not {value!r}")
    if len(set(value)) != len(value):
        raise ValueError(f"metric {metric}: {option} lists a value twice: {value!r}")
    return tuple(value)
