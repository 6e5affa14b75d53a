"""Uploads a set to the Hugging Face hub: private and gated before the first file is sent.

Only the manifest's files are sent: `work/` and `review/` stay here. Images go first and the lists with the manifest
last, so that an interrupted push leaves no list without its images; the next push continues.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from harness import HarnessError
from harness.data.downloads import unreachable_error
from harness.data.hub import load_client, network_errors, quiet_client

from .folder import MANIFEST, is_set_file
from .manifest import read_manifest, verify

_AT_ONCE: Final = 500  #: images of one commit; the hub answers slowly to many thousands
_KIND: Final = "dataset"
_LONGEST: Final = 300  # characters of a hub message
_PUBLIC: Final = (
    "public: everybody sees the set's page and card, and can request its files. The gate stays: who requests agrees"
    " to the intended use, and you decide. You can lift it on the hub, in the settings of the set."
)


def check_push(repo: str) -> None:
    """Check that a set can be pushed under this name, without asking the hub.

    Raises:
        HarnessError: it is not a name of a data set; there is no token; the extra `hub` is missing; HF_HUB_OFFLINE is
            set.
    """
    _connect(repo)


def push(folder: Path, repo: str, *, public: bool = False, tell: Callable[[str], None] | None = None) -> str:
    """Upload a whole set to the hub -> address of the commit.

    The repository becomes private and gated: people request its files, agree to the intended use, and wait for your
    approval. With `public` everybody sees its page, and the gate stays. Files of an earlier push that the set no
    longer has are deleted there; all others stay.

    Args:
        folder: of the set.
        repo: `OWNER/NAME`, or `NAME` for the owner of the token.
        public: see above.
        tell: gets lines for a person.

    Raises:
        MissingData, BadData: there is no manifest, or it cannot be read.
        HarnessError: the set is not complete, or differs from its manifest; there is no token; the hub refuses or does
            not answer; the extra `hub` is missing.
    """
    tell = tell or (lambda _: None)
    manifest = read_manifest(folder)
    if manifest.open:
        what, remedy = f"the set is not complete: {manifest.open[0]}", "finish the build"
        raise HarnessError(what, where=str(folder), remedy=remedy)
    if found := verify(folder):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        what = f"the set differs from its manifest: {found[0]}{more}"
        raise HarnessError(what, where=str(folder), remedy="build the set again: finished calls are not repeated")
    client, endpoint, token = _connect(repo)
    api = client.HfApi(endpoint=endpoint, token=token)
    if public:
        tell(_PUBLIC)

    def add(paths: Sequence[str]) -> list[Any]:
        return [client.CommitOperationAdd(path_in_repo=path, path_or_fileobj=str(folder / path)) for path in paths]

    with quiet_client(logging.NullHandler()), _without_bars(), _explain_errors(repo, endpoint):
        name = str(api.create_repo(repo, repo_type=_KIND, private=True, exist_ok=True).repo_id)
        api.update_repo_settings(name, repo_type=_KIND, private=True, gated="manual")
        images = [path for path in manifest.files if "/" in path]
        for start in range(0, len(images), _AT_ONCE):
            end = min(start + _AT_ONCE, len(images))
            message = f"Images {start + 1} to {end} of {len(images)}"
            api.create_commit(name, add(images[start:end]), commit_message=message, repo_type=_KIND)
            tell(f"{end} of {len(images)} images uploaded")
        last = [*(path for path in manifest.files if "/" not in path), MANIFEST]
        there = api.list_repo_files(name, repo_type=_KIND)
        gone = [path for path in there if is_set_file(path) and path != MANIFEST and path not in manifest.files]
        operations = [*add(last), *(client.CommitOperationDelete(path_in_repo=path) for path in gone)]
        message = f"{manifest.name}: lists, card and manifest"
        commit = api.create_commit(name, operations, commit_message=message, repo_type=_KIND)
        if public:
            api.update_repo_settings(name, repo_type=_KIND, private=False, gated="manual")
        return str(commit.commit_url)


def _connect(repo: str) -> tuple[Any, str, str]:
    """The hub's client, its address, and a token; repeats the client's own checks, without asking the hub."""
    client = load_client()
    constants, errors, utils = (
        importlib.import_module(f"huggingface_hub.{name}") for name in ("constants", "errors", "utils")
    )
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or str(constants.ENDPOINT)
    with _explain_errors(repo, endpoint):
        utils.validate_repo_id(repo)
        if constants.HF_HUB_OFFLINE:
            raise errors.OfflineModeIsEnabled
    token = client.get_token()
    if not token:
        raise HarnessError(
            "the hub needs a token to take a data set",
            remedy="set HF_TOKEN to a token with write access, or: hf auth login",
        )
    return client, endpoint, str(token)


@contextmanager
def _explain_errors(repo: str, endpoint: str) -> Generator[None]:
    """Raise HarnessError for an error of the client, by the first known one in its chain of causes."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except HarnessError:
        raise
    except errors.HFValidationError:
        what = f"{repo!r} is not a data set name"
        raise HarnessError(what, remedy="give OWNER/NAME: letters, digits, '-', '_' and '.'") from None
    except errors.OfflineModeIsEnabled:
        raise HarnessError("HF_HUB_OFFLINE is set, so nothing is pushed", remedy="unset HF_HUB_OFFLINE") from None
    except (errors.HfHubHTTPError, *network_errors(), RuntimeError, ValueError) as error:
        found: BaseException | None = error
        while found is not None and not isinstance(found, (errors.HfHubHTTPError, *network_errors())):
            found = found.__cause__ or found.__context__
        if isinstance(found, errors.HfHubHTTPError):
            answer: Any = found
            said, status = _shorten(answer), int(answer.response.status_code)
            if status == 401:
                what, remedy = "the hub does not know this token", "set HF_TOKEN to a valid one"
            elif status == 403:
                what = f"the token may not write to {repo}: {said}"
                remedy = "use a token with write access, of a user with write access there"
            elif status == 404:
                what, remedy = f"the hub shows no data set {repo} to this token", "check the owner and the name"
            else:
                what, remedy = f"the hub answered {status}: {said}", "run it again: uploaded files are not sent again"
                raise HarnessError(what, where=repo, remedy=remedy) from None
            raise HarnessError(what, remedy=remedy) from None
        if found is not None:
            raise unreachable_error(endpoint, found) from None
        raise HarnessError(f"the hub refuses the set: {_shorten(error)}", where=repo) from None


def _shorten(error: object) -> str:
    return " ".join(str(error).split())[:_LONGEST]


@contextmanager
def _without_bars() -> Generator[None]:
    """Hide the client's progress bars in the body."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    before = utils.are_progress_bars_disabled()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            utils.enable_progress_bars()
