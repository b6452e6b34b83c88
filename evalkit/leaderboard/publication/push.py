"""Putting a published folder on the Hugging Face hub as a dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evalkit.leaderboard.publication.verify import verify

# What `publish` writes, and nothing that happens to lie beside it.
PUBLISHED = (
    "README.md",
    "LICENSES.md",
    "environment.json",
    "leaderboard.*",
    "samples.parquet",
    "*/model-index.yaml",
    "*/*/result.json",
    "*/*/run.json",
    "*/*/samples.jsonl.gz",
)

_TARGET = re.compile(
    r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<path>.+?))?/?"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A dataset on the hub, a branch of it ("" for the main one) and a folder in it ("" for its root)."""

    repo: str
    revision: str = ""
    path: str = ""


def parse_target(address: str) -> Target:
    """Read `hf://datasets/OWNER/NAME[@BRANCH][/FOLDER]`. ValueError for anything else."""
    match = _TARGET.fullmatch(address)
    if not match or ".." in (match["path"] or "").split("/"):
        raise ValueError(
            f"{address}: expected hf://datasets/OWNER/NAME, with @BRANCH and /FOLDER as you like"
        )
    return Target(match["repo"], match["revision"] or "", match["path"] or "")


def push(folder: Path, target: Target) -> str:
    """Make the dataset if there is none and put the folder there in one commit; returns the commit's address.

    The token is huggingface_hub's business (HF_TOKEN, or `hf auth login`). Raises ValueError if the folder
    does not hold, OSError with the hub's answer if it refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    findings = verify(folder).findings
    if findings:
        raise ValueError(f"{folder} does not hold, so it is not pushed: {findings[0]}")
    # OSError and the error of whichever HTTP library this version of the hub's client is built on.
    errors = tuple(kind for kind in HfHubHTTPError.__bases__ if issubclass(kind, Exception))
    api = HfApi(library_name="evalkit")
    try:
        api.create_repo(target.repo, repo_type="dataset", exist_ok=True)
        done = api.upload_folder(
            repo_id=target.repo,
            repo_type="dataset",
            folder_path=folder,
            path_in_repo=target.path or None,
            revision=target.revision or None,
            commit_message="Evaluation records by evalkit publish",
            allow_patterns=list(PUBLISHED),
            delete_patterns=list(PUBLISHED),
        )
    except errors as error:
        raise OSError(f"{target.repo} on the Hugging Face hub: {error}") from error
    return str(done.commit_url)
