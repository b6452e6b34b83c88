"""Keeping what is private out of what is published."""

from __future__ import annotations

import re
from pathlib import Path

from evalkit.text.secrets import looks_like_a_key, secret_variables, without_secrets

_PATH = re.compile(r"(?<![\w:/.~-])~?(?:/[^\s/'\":,;]+)+/([^\s/'\":,;]+)")
_WINDOWS_PATH = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+([^\s\\'\"]+)")


def redacted(text: str) -> str:
    """`text` with paths cut to their last part, and without credentials, keys and the values of secrets.

    For what tells of the machine: error messages and sources. Nothing that is scored is ever changed.
    """
    text = without_secrets(text)
    for pattern in (_PATH, _WINDOWS_PATH):
        text = pattern.sub(r"\1", text)
    return text


def private(text: str) -> list[str]:
    """What `text` must not be published with, in words that do not repeat it."""
    home = str(Path.home())
    found = []
    if len(home) > 1 and re.search(rf"(?<!\w){re.escape(home)}(?![\w.-])", text):
        found.append("the path of your home folder")
    found += [f"the value of {name}" for name, value in secret_variables() if value in text]
    if looks_like_a_key(text):
        found.append("what looks like a key")
    return found
