"""A folder of results that stands alone: making it, pushing it, and checking every number in it."""

from __future__ import annotations

from evalkit.leaderboard.publication.publish import Publication, publish
from evalkit.leaderboard.publication.push import Target, parse_target, push
from evalkit.leaderboard.publication.verify import Finding, Verification, verify

__all__ = [
    "Finding",
    "Publication",
    "Target",
    "Verification",
    "parse_target",
    "publish",
    "push",
    "verify",
]
