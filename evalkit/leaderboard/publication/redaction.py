"""Keeping what is private out of what is published."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_PATH = re.compile(r"(?<![\w:/.~-])~?(?:/[^\s/'\":,;]+)+/([^\s/'\":,;]+)")
_WINDOWS_PATH = re.compile(r"\b[A-Za-z]:\\(?:[^\s\\'\"]+\\)+([^\s\\'\"]+)")
_KEYS = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}\b|\bsk-[A-Za-z0-9_-]{20,}|\bgh[opsu]_[A-Za-z0-9]{20,}\b|\bAKIA[0-9A-Z]{16}\b"
    r"|\bBearer\s+[A-Za-z0-9._-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_SHORTEST_SECRET = 8
_REMOVED = "[removed]"


def redacted(text: str) -> str:
    """`text` with paths cut to their last part, and without credentials, keys and the values of secrets.

    For what tells of the machine: error messages and sources. Nothing that is scored is ever changed.
    """
    text = _CREDENTIALS.sub("", text)
    for pattern in (_PATH, _WINDOWS_PATH):
        text = pattern.sub(r"\1", text)
    for _, value in _secrets():
        text = text.replace(value, _REMOVED)
    return _KEYS.sub(_REMOVED, text)


def private(text: str) -> list[str]:
    """What `text` must not be published with, in words that do not repeat it."""
    home = str(Path.home())
    found = []
    if len(home) > 1 and re.search(rf"(?<!\w){re.escape(home)}(?![\w.-])", text):
        found.append("the path of your home folder")
    found += [f"the value of {name}" for name, value in _secrets() if value in text]
    if _KEYS.search(text):
        found.append("what looks like a key")
    return found


def _secrets() -> Iterator[tuple[str, str]]:
    """Environment variables that are called like secrets, with their values."""
    for name, value in sorted(os.environ.items()):
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            yield name, value
