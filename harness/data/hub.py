"""Lists the files of a data set on the Hugging Face hub at one commit, and explains the hub's refusals.

The hub's client lists the files and knows the token and the endpoint (`HF_ENDPOINT`). `harness.data.downloads`
downloads them, since the client starts a file anew after it was killed. The client's own log lines and its long retries
are switched off: the first request is sent once, and again only when the hub says when. A wait of the client's own is
shown.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from harness.contracts import DataSource
from harness.data.downloads import TRIES, HashKind, Refusal, RemoteFile, unreachable_error
from harness.data.transfer import Waits, read_pieces, same_server
from harness.errors import BadImage, HarnessError, UnknownName
from harness.extras import require_module
from harness.http.reading import ENCODINGS, REPLY_LIMIT
from harness.readers.files import inside

SECONDS: Final = 10.0  #: most seconds until the first answer
LIST_LIMIT: Final = REPLY_LIMIT  #: bytes of one page of a list
_UNSAFE: Final = "do not use this set, and tell those who maintain it"
_NAMED: Final = 5  # files named of a set that has none of those wanted
_CLIENT_WAITS: Final = re.compile(r"Rate limited\. Waiting ([\d.]+)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Files of a data set.

    Attributes:
        name: the set's id on the hub.
        commit: the full hash.
        files: the wanted files.
    """

    name: str
    commit: str
    files: tuple[RemoteFile, ...]


class NotThere(UnknownName):
    """The hub has no data set of this name, or it is private."""


def list_files(source: DataSource, waits: Waits, revision: str = "") -> Listing:
    """The files of a source at a revision, else at its pinned one, else at the newest; its mirrors at the newest.

    Args:
        source: that names the set.
        waits: remembers the pauses that the hub asks for.
        revision: instead of the pinned one.

    Raises:
        HarnessError: the hub cannot be reached, has no such set or revision, does not give it, or the extra `hub` is
            missing.
    """
    missing: NotThere | None = None
    for name in (source.hub, *source.mirrors):
        pinned = revision or (source.revision if name == source.hub else "")
        try:
            return _list_set(name, pinned, source, waits)
        except NotThere as error:
            missing = missing or error
    assert missing is not None
    raise missing


def refusal_error(refusal: Refusal, name: str, source: DataSource) -> HarnessError:
    """The error for a file of a data set that the hub refuses."""
    if refusal.code == "GatedRepo" or refusal.status == 403:
        return _explain_gate(name, source)
    if refusal.status == 401:
        return _token_error()
    return HarnessError(f"the hub does not give a file of {name}: {refusal}", remedy="see whether the set is complete")


def _list_set(name: str, revision: str, source: DataSource, waits: Waits) -> Listing:
    client = load_client()
    constants: Any = importlib.import_module("huggingface_hub.constants")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or str(constants.ENDPOINT)
    commit, entries, headers = _ask_hub(client, endpoint, name, revision, source, waits)
    files = [entry for entry in entries if hasattr(entry, "blob_id")]
    chosen = [entry for entry in files if matches(entry.path, source.files)]
    if not chosen:
        raise explain_no_match(name, source.files, [str(entry.path) for entry in files])
    wanted: list[RemoteFile] = []
    for entry in chosen:
        try:
            path = inside(entry.path)
        except BadImage as fault:
            raise HarnessError(f"the hub lists a file outside its data set: {fault}", remedy=_UNSAFE) from None
        if "\0" in path:
            raise HarnessError(
                f"the hub lists a file that no disk can hold: {path!r:.100} has a NUL in its name", remedy=_UNSAFE
            )
        size, digest = (entry.lfs.size, entry.lfs.sha256) if entry.lfs else (entry.size, entry.blob_id)
        url = str(client.hf_hub_url(name, entry.path, repo_type="dataset", revision=commit, endpoint=endpoint))
        kind: HashKind = "sha256" if entry.lfs else "git"
        wanted.append(RemoteFile(path=path, url=url, size=size, kind=kind, digest=digest, headers=headers))
    return Listing(name=name, commit=commit, files=tuple(wanted))


def _ask_hub(
    client: Any, endpoint: str, name: str, revision: str, source: DataSource, waits: Waits
) -> tuple[str, list[Any], dict[str, str]]:
    """The commit of a revision, all that is in it, and the headers of each request for a file."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    utils: Any = importlib.import_module("huggingface_hub.utils")
    api = client.HfApi(endpoint=endpoint)
    try:
        for tries_left in reversed(range(TRIES)):
            try:
                with quiet_client(_WaitListener(endpoint, waits)), _guard_session(utils.get_session(), endpoint):
                    info = api.dataset_info(name, revision=revision or None, timeout=SECONDS)
                    tree = api.list_repo_tree(name, recursive=True, revision=info.sha, repo_type="dataset")
                    return str(info.sha), list(tree), utils.build_hf_headers()
            except errors.HfHubHTTPError as error:
                if not tries_left or not waits.note(endpoint, error.response.headers):
                    raise
                waits.rest()
        raise AssertionError("the last try returns or raises")
    except errors.OfflineModeIsEnabled:
        raise HarnessError("HF_HUB_OFFLINE is set, so nothing is fetched", remedy="unset HF_HUB_OFFLINE") from None
    except errors.GatedRepoError:
        raise _explain_gate(name, source) from None
    except errors.RevisionNotFoundError:
        what = f"{name} has no revision {revision!r}"
        raise UnknownName(what, remedy=f"see its branches and commits: {_build_url(name)}") from None
    except errors.RepositoryNotFoundError:
        what = f"there is no data set {name} on the hub, or it is private"
        raise NotThere(what, remedy=f"see {source.url or _build_url(name)}; set HF_TOKEN where it is private") from None
    except errors.HfHubHTTPError as error:
        status = int(error.response.status_code)
        if status == 401:
            raise _token_error() from None
        raise HarnessError(f"the hub answered {status} for {name}", remedy="try again later") from None
    except network_errors() as error:
        raise unreachable_error(endpoint, error) from None


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file matches; without patterns all do, but for those that describe the repository itself."""
    if not patterns:
        return path not in {".gitattributes", "README.md"}
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def explain_no_match(name: str, patterns: Sequence[str], there: Sequence[str]) -> HarnessError:
    """The error for a set with another layout: what was looked for, and what it holds."""
    holds = ", ".join([*there[:_NAMED], *(["…"] if len(there) > _NAMED else [])]) or "nothing"
    what = f"{name} holds no file that the task reads: no {' or '.join(patterns) or 'file at all'}"
    return HarnessError(what, where=f"it holds {holds}", remedy="take an earlier revision: --revision COMMIT")


def _build_url(name: str) -> str:
    return f"https://huggingface.co/datasets/{name}"


def _explain_gate(name: str, source: DataSource) -> HarnessError:
    page = source.url if source.hub == name and name in source.url else _build_url(name)
    return HarnessError(
        f"{name} is gated: its authors give access to those who accept their terms",
        remedy=f"accept the terms on {page} with your account, set HF_TOKEN to a token of that account (one that may "
        "read gated repositories), and run the command again",
    )


def _token_error() -> HarnessError:
    return HarnessError("the hub rejects the token", remedy="set HF_TOKEN to a valid one, or unset it")


def load_client() -> Any:
    """The hub's client. Raises HarnessError where it is not installed."""
    return require_module("huggingface_hub", "hub", by="the hub")


def network_errors() -> tuple[type[Exception], ...]:
    """The client's errors if no server answers; its versions use different HTTP libraries."""
    found: list[type[Exception]] = [OSError]
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(importlib.import_module(name).HTTPError)
    return tuple(found)


@contextmanager
def _guard_session(session: Any, endpoint: str) -> Generator[None]:
    """Keep the client's requests for lists to our rules: the token goes to the hub alone, also where a list continues
    at another address, and no more of a reply is read than LIST_LIMIT."""
    before = session.event_hooks

    def guard_request(request: Any) -> None:
        request.headers["accept-encoding"] = ENCODINGS
        if not same_server(endpoint, str(request.url)):
            request.headers.pop("authorization", None)

    def guard_response(response: Any) -> None:
        stream, pieces = response.stream, read_pieces(response, limit=LIST_LIMIT, what="a list")

        def iterate(_: object) -> Iterator[bytes]:
            return pieces

        def close(_: object) -> None:
            stream.close()

        kind = importlib.import_module(type(response).__module__.partition(".")[0]).SyncByteStream
        response.stream = type("GuardedStream", (kind,), {"__iter__": iterate, "close": close})()
        response.headers.pop("content-encoding", None)

    session.event_hooks = {
        "request": [*before["request"], guard_request],
        "response": [*before["response"], guard_response],
    }
    try:
        yield
    finally:
        session.event_hooks = before


class _WaitListener(logging.Handler):
    """Notices that the client waits, from its log."""

    def __init__(self, endpoint: str, waits: Waits) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._waits = waits

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the wait on; one that is too long ends the request, since an error raised here leaves the client."""
        if found := _CLIENT_WAITS.search(record.getMessage()):
            self._waits.note(self._endpoint, {"retry-after": found[1]})


@contextmanager
def quiet_client(instead: logging.Handler) -> Generator[None]:
    """Send the client's log lines to a handler: the harness itself says what is wrong."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level, logger.propagate, logger.handlers
    logger.propagate, logger.handlers = False, [instead]
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before[0])
        _, logger.propagate, logger.handlers = before
