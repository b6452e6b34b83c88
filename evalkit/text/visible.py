"""Making seen what cannot be seen in a text from data, before it is put on a page or in print."""

from __future__ import annotations

import re

# C0 without tab and line feed, DEL and C1; embeddings, overrides and isolates; separators; invisible joints.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with what cannot be seen written out, a right-to-left override as `⟨U+202E⟩`.

    Half a surrogate pair, which is no character, becomes the replacement character.
    """
    return _UNSEEN.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", _SURROGATES.sub("\ufffd", text))
