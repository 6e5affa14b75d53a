"""What a data set on the Hugging Face hub holds at one commit, and why the hub says no.

The hub's client lists the files, knows the token and the endpoint (`HF_ENDPOINT`); `harness.data.downloads` takes them,
since the client begins a file anew after it was killed. The client's own lines and its long trials are kept away: the
first question is asked once, and again only when the hub says when. Where the client waits by itself, it is told.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from harness.contracts import DataSource
from harness.data.asking import pieces, same_server
from harness.data.downloads import TRIES, Refusal, Wanted, unreachable
from harness.data.waiting import Waits
from harness.errors import BadImage, HarnessError, UnknownName
from harness.http.reading import ENCODINGS, REPLY_LIMIT
from harness.readers.files import inside

SECONDS: Final = 10.0  #: what the first answer may take
LIST_LIMIT: Final = REPLY_LIMIT  #: bytes of one page of a list
_NAMED: Final = 5  # files named of a set that has none of those wanted
_CLIENT_WAITS: Final = re.compile(r"Rate limited\. Waiting ([\d.]+)s")
_Answer = tuple[str, list[Any], dict[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Files of a data set.

    Attributes:
        name: id on the hub.
        commit: full hash.
        files: what is wanted of it.
    """

    name: str
    commit: str
    files: tuple[Wanted, ...]


class NotThere(UnknownName):
    """The hub has no data set of this name, or shows it to nobody without access."""


def listing(source: DataSource, waits: Waits, revision: str = "") -> Listing:
    """The files of a source at a revision, else at its pinned one, else at the newest; its mirrors at the newest.

    Args:
        source: that names the set.
        waits: that the hub asks for.
        revision: instead of the pinned one.

    Raises:
        HarnessError: the hub cannot be reached, has no such set or revision, does not give it, or the extra `hub` is
            missing.
    """
    missing: NotThere | None = None
    for name in (source.hub, *source.mirrors):
        pinned = revision or (source.revision if name == source.hub else "")
        try:
            return _listed(name, pinned, source, waits)
        except NotThere as error:
            missing = missing or error
    assert missing is not None
    raise missing


def refused(refusal: Refusal, name: str, source: DataSource) -> HarnessError:
    """Why a file of a data set is not given."""
    if refusal.code == "GatedRepo" or refusal.status == 403:
        return _gated(name, source)
    if refusal.status == 401:
        return _token()
    return HarnessError(f"the hub does not give a file of {name}: {refusal}", remedy="see whether the set is complete")


def _listed(name: str, revision: str, source: DataSource, waits: Waits) -> Listing:
    client = package()
    constants: Any = importlib.import_module("huggingface_hub.constants")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or str(constants.ENDPOINT)
    commit, entries, headers = _asked(client, endpoint, name, revision, source, waits)
    chosen = _chosen([entry for entry in entries if hasattr(entry, "blob_id")], source.files, name)

    def url(path: str) -> str:
        return str(client.hf_hub_url(name, path, repo_type="dataset", revision=commit, endpoint=endpoint))

    return Listing(name=name, commit=commit, files=tuple(_wanted(entry, url(entry.path), headers) for entry in chosen))


def _asked(client: Any, endpoint: str, name: str, revision: str, source: DataSource, waits: Waits) -> _Answer:
    errors: Any = importlib.import_module("huggingface_hub.errors")
    api = client.HfApi(endpoint=endpoint)
    try:
        for _ in range(TRIES - 1):
            try:
                return _answered(api, name, revision, waits)
            except errors.HfHubHTTPError as error:
                if not waits.note(endpoint, error.response.headers):
                    raise
                waits.rest()
        return _answered(api, name, revision, waits)
    except errors.OfflineModeIsEnabled:
        raise HarnessError("HF_HUB_OFFLINE is set, so nothing is fetched", remedy="unset HF_HUB_OFFLINE") from None
    except errors.HfHubHTTPError as error:
        raise _said_no(error, name, revision, source) from None
    except no_answer() as error:
        raise unreachable(endpoint, error) from None


def _answered(api: Any, name: str, revision: str, waits: Waits) -> _Answer:
    """The commit of a revision, all that is in it, and what goes with each question for a file."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    with quiet(_Waiting(api.endpoint, waits)), _held(utils.get_session(), api.endpoint):
        info = api.dataset_info(name, revision=revision or None, timeout=SECONDS)
        entries = list(api.list_repo_tree(name, recursive=True, revision=info.sha, repo_type="dataset"))
        return str(info.sha), entries, utils.build_hf_headers()


def _wanted(entry: Any, url: str, headers: dict[str, str]) -> Wanted:
    try:
        path = inside(entry.path)
    except BadImage as fault:
        raise HarnessError(f"the hub lists a file outside its data set: {fault}") from None
    if entry.lfs:
        return Wanted(path=path, url=url, size=entry.lfs.size, kind="sha256", digest=entry.lfs.sha256, headers=headers)
    return Wanted(path=path, url=url, size=entry.size, kind="git", digest=entry.blob_id, headers=headers)


def _chosen(entries: Sequence[Any], patterns: Sequence[str], name: str) -> Sequence[Any]:
    found = [entry for entry in entries if matches(entry.path, patterns)]
    if not found:
        raise nothing_matches(name, patterns, [str(entry.path) for entry in entries])
    return found


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file is wanted; without patterns all are, but for what says something of the repository itself."""
    if not patterns:
        return path not in {".gitattributes", "README.md"}
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def nothing_matches(name: str, patterns: Sequence[str], there: Sequence[str]) -> HarnessError:
    """A set that was laid out anew: what was looked for, and what it holds."""
    holds = ", ".join([*there[:_NAMED], *(["…"] if len(there) > _NAMED else [])]) or "nothing"
    what = f"{name} holds no file that the task reads: no {' or '.join(patterns) or 'file at all'}"
    return HarnessError(what, where=f"it holds {holds}", remedy="take an earlier revision: --revision COMMIT")


def _said_no(error: Any, name: str, revision: str, source: DataSource) -> HarnessError:
    errors: Any = importlib.import_module("huggingface_hub.errors")
    status = int(error.response.status_code)
    if isinstance(error, errors.GatedRepoError):
        return _gated(name, source)
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownName(
            f"{name} has no revision {revision!r}", remedy=f"see its branches and commits: {_page(name)}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        what = f"there is no data set {name} on the hub, or it is shown to nobody without access"
        return NotThere(what, remedy=f"see {source.url or _page(name)}; set HF_TOKEN where it is private")
    return (
        _token() if status == 401 else HarnessError(f"the hub answered {status} for {name}", remedy="try again later")
    )


def _gated(name: str, source: DataSource) -> HarnessError:
    page = source.url if source.hub == name and name in source.url else _page(name)
    return HarnessError(
        f"{name} is gated: its authors give access to those who accept their terms",
        remedy=f"accept the terms on {page} with your account, set HF_TOKEN to a token of that account (one that may "
        "read gated repositories), and run the command again",
    )


def _token() -> HarnessError:
    return HarnessError(
        "the hub does not know the token it was given", remedy="set HF_TOKEN to a valid one, or unset it"
    )


def _page(name: str) -> str:
    return f"https://huggingface.co/datasets/{name}"


def package() -> Any:
    """The hub's client.

    Raises:
        HarnessError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise HarnessError(
            f"the hub needs a package that is not installed: {error.name}",
            remedy="pip install 'vlm-safety-harness[hub]'",
        ) from None


def no_answer() -> tuple[type[Exception], ...]:
    """What the client raises where nobody answers; versions of it differ in the library they ask with."""
    found: list[type[Exception]] = [OSError]
    for name in ("httpx", "httpx2"):
        try:
            found.append(importlib.import_module(name).HTTPError)
        except ImportError:
            continue
    return tuple(found)


@contextmanager
def _held(session: Any, endpoint: str) -> Generator[None]:
    """The client's questions for lists, held to our rules: the token goes to the hub alone, also where a list goes on
    at another address, and no more of an answer is taken than LIST_LIMIT."""
    before = session.event_hooks

    def ask(request: Any) -> None:
        request.headers["accept-encoding"] = ENCODINGS
        if not same_server(endpoint, str(request.url)):
            request.headers.pop("authorization", None)

    def hear(response: Any) -> None:
        stream, taken = response.stream, pieces(response, limit=LIST_LIMIT, what="a list")

        def each(_: object) -> Iterator[bytes]:
            return taken

        def close(_: object) -> None:
            stream.close()

        kind = importlib.import_module(type(response).__module__.partition(".")[0]).SyncByteStream
        response.stream = type("Taken", (kind,), {"__iter__": each, "close": close})()
        response.headers.pop("content-encoding", None)

    session.event_hooks = {"request": [*before["request"], ask], "response": [*before["response"], hear]}
    try:
        yield
    finally:
        session.event_hooks = before


class _Waiting(logging.Handler):
    """Hears the client say that it waits."""

    def __init__(self, endpoint: str, waits: Waits) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._waits = waits

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on; a wait that is too long ends the question, since an error leaves the client from here."""
        if found := _CLIENT_WAITS.search(record.getMessage()):
            self._waits.note(self._endpoint, {"retry-after": found[1]})


@contextmanager
def quiet(instead: logging.Handler) -> Generator[None]:
    """Without the client's own lines: what is wrong is told once, by us."""
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
