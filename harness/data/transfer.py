"""One GET for a file: its redirects, the headers that go along, how much of the reply is read, how long to wait.

A hub keeps large files on other servers and redirects there, so redirects are followed. Such a request has no body, and
its headers, a token above all, go to the server they were meant for and to no other.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from harness.errors import HarnessError
from harness.http.reading import Unpacking, Unreadable
from harness.http.status import retry_after

if TYPE_CHECKING:
    import httpx

REDIRECTS: Final = 8  #: followed in a row
PAUSE_LIMIT: Final = 600.0  #: seconds of one pause; a server that asks for more is not waited for
_PUBLIC_HEADERS: Final = frozenset({"accept", "accept-encoding", "range", "if-range", "user-agent"})
_PORTS: Final = {"http": 80, "https": 443}
_RESET: Final = re.compile(r";\s*r=0\s*;\s*t=(\d+)")  # the hub's `RateLimit`: nothing is left, for so many seconds


def same_server(one: str, other: str) -> bool:
    """Whether two addresses are of one server, the latter no less safe."""
    first, second = urlsplit(one), urlsplit(other)
    ports = [each.port or _PORTS.get(each.scheme) for each in (first, second)]
    if first.hostname != second.hostname or second.scheme not in _PORTS:
        return False
    raised = (first.scheme, second.scheme) == ("http", "https") and ports == [80, 443]
    return raised or (first.scheme == second.scheme and ports[0] == ports[1])


@contextmanager
def open_url(client: httpx.Client, url: str, headers: Mapping[str, str] | None = None) -> Generator[httpx.Response]:
    """The reply to a GET at the end of its redirects. Its body is not read yet: see `read_pieces`.

    Raises:
        HarnessError: there are too many redirects, or one to something that is not a web server.
    """
    sent, at = dict(headers or {}), url
    for _ in range(REDIRECTS + 1):
        with client.stream("GET", at, headers=sent, follow_redirects=False) as reply:
            if not reply.has_redirect_location:
                yield reply
                return
            location = reply.headers["location"]
        try:
            target = urljoin(at, location)
            parts = urlsplit(target)
            is_server = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
        except ValueError:  # such as a port beyond 65535
            target, is_server = "", False
        if not is_server:
            what = f"{_host(at)} redirects to {location[:200]!r}, which is no address of a server"
            raise HarnessError(what, where=at)
        if not same_server(at, target):
            sent = {name: value for name, value in sent.items() if name.lower() in _PUBLIC_HEADERS}
        at = target
    raise HarnessError(
        f"{_host(url)} redirects more than {REDIRECTS} times, at last to {_host(at)}",
        where=url,
        remedy="try again later",
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def read_pieces(reply: Any, *, limit: int = sys.maxsize, what: str = "a file") -> Iterator[bytes]:
    """The body of a reply as it comes, in pieces of at most 1 MiB however it is compressed.

    Args:
        reply: of any version of httpx, not read yet.
        limit: bytes that are read, as sent and as unpacked.
        what: the body is, for the error.

    Raises:
        HarnessError: it is larger than the limit, compressed in another way than was asked for, or damaged.
    """
    # The reply is opened now and not with the first piece: a caller may put itself in the place of its stream.
    return _unpack(reply.stream, reply.headers.get("content-encoding", ""), str(reply.url), limit, what)


def _unpack(stream: Any, encoding: str, url: str, limit: int, what: str) -> Iterator[bytes]:
    received = yielded = 0
    try:
        unpacking = Unpacking(encoding)
        for piece in stream:
            received += len(piece)
            for unpacked in unpacking.feed(piece):
                yielded += len(unpacked)
                if max(received, yielded) > limit:
                    raise HarnessError(
                        f"{url} is larger than {what} can be ({limit} bytes)", remedy="see whether the address is right"
                    )
                yield unpacked
        yield unpacking.end()
    except Unreadable as error:
        raise HarnessError(
            str(error), where=url, remedy="try again; if the error stays, a proxy or a mirror causes it"
        ) from None


class Waits:
    """The moment before which a server wants no request, shared by all threads that send it some.

    Args:
        tell: is called with a line when a wait begins.
        stopped: ends a wait when it is set.
    """

    def __init__(self, tell: Callable[[str], None], stopped: threading.Event | None = None) -> None:
        self._tell = tell
        self._stopped = stopped or threading.Event()
        self._lock = threading.Lock()
        self._until = 0.0

    def note(self, url: str, headers: Mapping[str, str]) -> bool:
        """Remember how long a server asks to wait (`Retry-After`, `RateLimit`); False where it names no time.

        Raises:
            HarnessError: it asks for more than PAUSE_LIMIT.
        """
        reset = _RESET.search({name.lower(): value for name, value in headers.items()}.get("ratelimit", ""))
        seconds = retry_after(headers)
        if seconds is None and reset:
            seconds = float(reset[1])
        if seconds is None:
            return False
        server = urlsplit(url).hostname or url
        if seconds > PAUSE_LIMIT:
            raise HarnessError(
                f"{server} asks for a pause of {seconds / 60:.0f} minutes, and the limit is {PAUSE_LIMIT / 60:.0f}",
                remedy="run the same command again after that; what was downloaded so far is kept",
            )
        with self._lock:
            until = time.monotonic() + seconds
            is_later = until > self._until + 1
            self._until = max(self._until, until)
        if is_later:
            self._tell(f"{server} asks for a pause: waiting {seconds:.0f} s")
        return True

    def rest(self) -> None:
        """Return at that moment, or when stopped."""
        self._stopped.wait(max(0.0, self._until - time.monotonic()))
