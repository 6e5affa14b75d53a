"""A set to the Hugging Face hub: private and gated, before the first file goes there.

What goes is what the manifest names and nothing else: `work/` and `review/` stay here. Images go first and the lists
with the manifest last, so that a push that breaks off leaves no list without its images; the next one goes on.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from harness import HarnessError
from harness.data.hub import package, quiet

from .hub import askable, no_bars, said
from .intended import PUBLIC
from .layout import MANIFEST, ours
from .manifest import Manifest, read_manifest, verify

_AT_ONCE: Final = 500  #: images of one commit; the hub answers slowly to many thousands
_KIND: Final = "dataset"


def _unheard(_: str) -> None:
    """Where the lines go that nobody wants to read."""


def check_push(repo: str) -> None:
    """Whether a set could be pushed under this name, as far as it can be told without asking the hub.

    Raises:
        HarnessError: it is no name of a data set; there is no token; the extra `hub` is missing; the hub must not be
            asked.
    """
    _ready(repo)


def push(folder: Path, repo: str, *, public: bool = False, tell: Callable[[str], None] = _unheard) -> str:
    """Put a whole set on the hub -> address of the commit.

    The repository is made, or set, to be private and gated: whoever wants its files asks, agrees to the intended use,
    and is let in by hand. With `public` everybody sees its page, and the gate stays. Files of an earlier push that the
    set has no more are deleted there; all others stay.

    Args:
        folder: of the set.
        repo: `OWNER/NAME`, or `NAME` for the owner of the token.
        public: see above.
        tell: hears what `public` means, and how far it is.

    Raises:
        MissingData, BadData: there is no manifest, or none that can be read.
        HarnessError: the set is not whole, or not as its manifest says; there is no token; the hub says no, or nobody
            answers; the extra `hub` is missing.
    """
    manifest = _whole(folder)
    client, endpoint, token = _ready(repo)
    api = client.HfApi(endpoint=endpoint, token=token)
    if public:
        tell(PUBLIC)
    with quiet(logging.NullHandler()), no_bars(), said(repo, endpoint):
        return _Push(api, client, folder, manifest, tell).run(repo, public=public)


def _whole(folder: Path) -> Manifest:
    """The manifest of a set that may go."""
    manifest = read_manifest(folder)
    if manifest.open:
        raise HarnessError(
            f"the set is not complete: {manifest.open[0]}", where=str(folder), remedy="build it to its end"
        )
    if found := verify(folder):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise HarnessError(
            f"the set is not as its manifest says: {found[0]}{more}",
            where=str(folder),
            remedy="build the set again: finished calls are not repeated",
        )
    return manifest


def _ready(repo: str) -> tuple[Any, str, str]:
    """The hub's client, its address, and a token."""
    client = package()
    constants: Any = importlib.import_module("huggingface_hub.constants")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or str(constants.ENDPOINT)
    with said(repo, endpoint):
        askable(repo)
    return client, endpoint, _token(client)


def _token(client: Any) -> str:
    token = client.get_token()
    if not token:
        raise HarnessError(
            "the hub takes no data set without a token",
            remedy="set HF_TOKEN to a token that may write, or: hf auth login",
        )
    return str(token)


class _Push:
    """One push; see `push`."""

    def __init__(self, api: Any, client: Any, folder: Path, manifest: Manifest, tell: Callable[[str], None]) -> None:
        self._api = api
        self._client = client
        self._folder = folder
        self._manifest = manifest
        self._tell = tell

    def run(self, repo: str, *, public: bool) -> str:
        name = str(self._api.create_repo(repo, repo_type=_KIND, private=True, exist_ok=True).repo_id)
        self._api.update_repo_settings(name, repo_type=_KIND, private=True, gated="manual")
        images = [path for path in self._manifest.files if "/" in path]
        for start in range(0, len(images), _AT_ONCE):
            end = min(start + _AT_ONCE, len(images))
            self._commit(name, f"Images {start + 1} to {end} of {len(images)}", self._added(images[start:end]))
            self._tell(f"{end} of {len(images)} images are there")
        last = [path for path in self._manifest.files if "/" not in path]
        operations = [*self._added([*last, MANIFEST]), *self._deleted(name)]
        address = self._commit(name, f"{self._manifest.name}: lists, card and manifest", operations)
        if public:
            self._api.update_repo_settings(name, repo_type=_KIND, private=False, gated="manual")
        return address

    def _commit(self, name: str, message: str, operations: Sequence[Any]) -> str:
        made = self._api.create_commit(name, operations, commit_message=message, repo_type=_KIND)
        return str(made.commit_url)

    def _added(self, paths: Sequence[str]) -> list[Any]:
        add = self._client.CommitOperationAdd
        return [add(path_in_repo=path, path_or_fileobj=str(self._folder / path)) for path in paths]

    def _deleted(self, name: str) -> list[Any]:
        """Of an earlier set under this name, what this one does not have."""
        there = self._api.list_repo_files(name, repo_type=_KIND)
        gone = [path for path in there if ours(path) and path != MANIFEST and path not in self._manifest.files]
        return [self._client.CommitOperationDelete(path_in_repo=path) for path in gone]
