"""Keys, tokens and passwords in text: finding them, so that no record, log or publication carries one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

REMOVED = "[removed]"
_KEYS = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}\b|\bsk-[A-Za-z0-9_-]{20,}|\bgh[opsu]_[A-Za-z0-9]{20,}\b|\bAKIA[0-9A-Z]{16}\b"
    r"|\bBearer\s+[A-Za-z0-9._-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")
_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_SHORTEST_SECRET = 8


def without_secrets(text: str) -> str:
    """`text` without what looks like a key, the credentials in addresses, and the values of secret variables."""
    text = _CREDENTIALS.sub("", text)
    for _, value in secret_variables():
        text = text.replace(value, REMOVED)
    return _KEYS.sub(REMOVED, text)


def looks_like_a_key(text: str) -> bool:
    return _KEYS.search(text) is not None


def secret_variables() -> Iterator[tuple[str, str]]:
    """Environment variables that are called like secrets, with their values."""
    for name, value in sorted(os.environ.items()):
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            yield name, value
