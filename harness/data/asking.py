"""One question for a file: where it is sent on to, what goes along, and how much of what comes is taken.

A hub keeps large files elsewhere and sends there, so a redirect is followed: such a question has no body, and what it
holds beside the address, a token above all, goes to the server that it was meant for and to no other.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from harness.errors import HarnessError
from harness.http.reading import Unpacking, Unreadable

if TYPE_CHECKING:
    import httpx

REDIRECTS: Final = 8  #: followed in a row
_FOR_ANYBODY: Final = frozenset({"accept", "accept-encoding", "range", "if-range", "user-agent"})
_PORTS: Final = {"http": 80, "https": 443}


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server, the latter no less safe."""
    first, second = urlsplit(one), urlsplit(other)
    ports = [each.port or _PORTS.get(each.scheme) for each in (first, second)]
    if first.hostname != second.hostname or second.scheme not in _PORTS:
        return False
    raised = (first.scheme, second.scheme) == ("http", "https") and ports == [80, 443]
    return raised or (first.scheme == second.scheme and ports[0] == ports[1])


@contextmanager
def asked(client: httpx.Client, url: str, headers: Mapping[str, str] | None = None) -> Generator[httpx.Response]:
    """The answer to a GET at the end of its redirects, not read yet; see `pieces`.

    Raises:
        HarnessError: it is sent on too often, or to what is no web server.
    """
    sent, at = dict(headers or {}), url
    for _ in range(REDIRECTS + 1):
        with client.stream("GET", at, headers=sent, follow_redirects=False) as reply:
            if not reply.has_redirect_location:
                yield reply
                return
            onward = _target(at, reply.headers["location"])
        if not same_server(at, onward):
            sent = {name: value for name, value in sent.items() if name.lower() in _FOR_ANYBODY}
        at = onward
    raise HarnessError(
        f"{_host(url)} sends on more than {REDIRECTS} times, at last to {_host(at)}",
        where=url,
        remedy="try again later",
    )


def _target(url: str, location: str) -> str:
    try:
        onward = urljoin(url, location)
        there = urlsplit(onward)
    except ValueError:
        onward, there = "", urlsplit("")
    if there.scheme not in _PORTS or not there.hostname:
        raise HarnessError(f"{_host(url)} sends on to {location[:200]!r}, which is no address of a server", where=url)
    return onward


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def pieces(reply: Any, *, limit: int = sys.maxsize, what: str = "a file") -> Iterator[bytes]:
    """The body of an answer as it comes, in pieces of at most 1 MiB however it is packed.

    Args:
        reply: of any version of httpx, not read yet.
        limit: bytes that are taken, as sent and unpacked.
        what: it is, for the error.

    Raises:
        HarnessError: it is larger, packed in another way than was asked for, or damaged.
    """
    return _taken(reply.stream, reply.headers.get("content-encoding", ""), str(reply.url), limit, what)


def _taken(stream: Iterable[bytes], encoding: str, url: str, limit: int, what: str) -> Iterator[bytes]:
    came = taken = 0
    try:
        unpacking = Unpacking(encoding)
        for piece in stream:
            came += len(piece)
            for unpacked in unpacking.feed(piece):
                taken += len(unpacked)
                if max(came, taken) > limit:
                    raise HarnessError(f"{url} is larger than {what} can be ({limit} bytes)")
                yield unpacked
        yield unpacking.end()
    except Unreadable as error:
        raise HarnessError(str(error), where=url, remedy="try again; a proxy or a mirror may do it") from None
