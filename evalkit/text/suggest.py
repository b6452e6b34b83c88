"""One wording for a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, names: Iterable[str]) -> str:
    """The message for an unknown name: "unknown metric 'wr'; did you mean 'wer'? Known: cer, wer"."""
    known = sorted(names)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(known) or 'none'}"
