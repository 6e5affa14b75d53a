"""One file by HTTP: gone on with where it broke off, and put into its place only when it is what was published.

What has come so far lies beside the file as `NAME.<tag>.part`, the tag made of the hash that it must have in the end.
So a part is only ever continued as the same file, by any later command. A file whose hash is not known beforehand
begins anew with each command, and within one command goes on only where the server says that it is the same file still.
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness.data.asking import asked, pieces
from harness.data.meter import Meter
from harness.data.resuming import Begun
from harness.data.waiting import Waits
from harness.errors import HarnessError

if TYPE_CHECKING:
    import httpx

PATIENCE: Final = 30.0  #: seconds a silent server is waited for
TRIES: Final = 5  #: in a row that bring nothing new
PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0)  #: seconds before each try after the first
UNSIZED_LIMIT: Final = 16 << 30  #: bytes of a file whose size nobody has said
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE: Final = 1 << 20
Kind = Literal["", "sha256", "md5", "git"]  #: `git` is the sha1 of a blob; empty knows no hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file of a data set.

    Attributes:
        path: under the data root.
        url: where it is downloaded from.
        size: in bytes; None when it is not known.
        kind: of the hash.
        digest: that it must have.
        headers: sent along, never shown.
    """

    path: str
    url: str
    size: int | None = None
    kind: Kind = ""
    digest: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class Refusal(Exception):
    """A server said no, for good; `code` is the hub's word for the reason."""

    def __init__(self, url: str, status: int, code: str = "") -> None:
        super().__init__(f"{url} answered {status}")
        self.status = status
        self.code = code


class Stopped(Exception):
    """Another download has failed, so this one was given up."""


class _Passing(Exception):
    """A server may say yes in a moment."""


class _Told(_Passing):
    """It has said when."""


class Downloads:
    """Downloads files one by one, from several threads at once if need be."""

    def __init__(self, client: httpx.Client, meter: Meter) -> None:
        self.meter = meter
        self._client = client
        self._stopped = threading.Event()
        self._waits = Waits(meter.tell, self._stopped)
        self._heard = False  # a server that has answered before is worth waiting for
        self._replies: set[httpx.Response] = set()

    def stop(self) -> None:
        """End all downloads under way, also those that wait for a silent server; what has come is kept."""
        self._stopped.set()
        for reply in list(self._replies):
            with suppress(OSError):
                reply.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def get(self, wanted: Wanted, target: Path) -> str:
        """Download one file unless it is there; gives its sha256.

        Raises:
            Refusal: the server said no.
            Stopped: by `stop`.
            HarnessError: the server cannot be reached, or what came is not what was published.
        """
        found = stands(wanted, target)
        if found:
            self.meter.add(target.stat().st_size, here=True)
            return found
        part = _part(wanted, target)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        try:
            self._fill(wanted, part)
        except BaseException:
            if not _size(part):
                part.unlink()
            raise
        sha256, digest = digests(part, wanted.kind)
        if digest != wanted.digest:
            part.unlink()
            what = f"{wanted.path} did not come as it was published: {wanted.kind} {digest}, not {wanted.digest}"
            raise HarnessError(what, where=wanted.url, remedy="try again; a proxy or a mirror may change it")
        part.replace(target)
        for stale in parts_of(target):
            stale.unlink(missing_ok=True)
        return sha256

    def _fill(self, wanted: Wanted, part: Path) -> None:
        """Try until all of it is there; tries that bring something new are not counted."""
        import httpx

        self.meter.add(_size(part), here=True)
        failed, most, begun = 0, _size(part), Begun(hashed=bool(wanted.digest), total=wanted.size)
        while wanted.size is None or _size(part) != wanted.size:
            try:
                self._stream(wanted, part, begun)
            except (httpx.TransportError, _Passing) as error:
                if self._stopped.is_set():
                    raise Stopped from None
                failed = 1 if _size(part) > most else failed + 1
                most = max(most, _size(part))
                if failed == TRIES or not self._heard:
                    raise unreachable(wanted.url, error) from None
                if not isinstance(error, _Told):
                    self.meter.tell(f"{wanted.path}: {_said(error)}; trying again")
                    self._stopped.wait(PAUSES[failed])
            else:
                return

    def _stream(self, wanted: Wanted, part: Path, begun: Begun) -> None:
        self._waits.rest()
        if self._stopped.is_set():
            raise Stopped
        if _size(part) and not begun.sure:
            self._anew(part)
        at = _size(part)
        headers = {"accept-encoding": "identity", **wanted.headers, **begun.asking(at)}
        with asked(self._client, wanted.url, headers) as reply:
            self._heard = True
            self._check(wanted, reply)
            if reply.status_code == 416:
                self._anew(part)
                raise _Passing(f"{wanted.url} is shorter than what has come of it")
            if reply.status_code != 206:  # the server begins at the beginning
                self._anew(part)
                begun.learn(reply)
            elif at and not begun.continued(reply, at):
                self._anew(part)
                raise _Passing(f"{wanted.url} is another file than the one that was begun")
            if wanted.size is None and "content-length" in reply.headers:
                self.meter.expect(_size(part) + int(reply.headers["content-length"]))
            self._replies.add(reply)
            try:
                self._write(reply, part, wanted.size)
            finally:
                self._replies.discard(reply)
        if wanted.size is not None and _size(part) < wanted.size:
            raise _Passing(f"{wanted.url} ended early")

    def _check(self, wanted: Wanted, reply: httpx.Response) -> None:
        """Raise where a reply brings nothing: for good, for a moment, or until a time that it names."""
        status = reply.status_code
        if (status in _PASSING or status == 403) and self._waits.note(wanted.url, reply.headers):
            raise _Told(f"{wanted.url} answered {status}")
        if status in _PASSING:
            raise _Passing(f"{wanted.url} answered {status}")
        if not reply.is_success and status != 416:
            raise Refusal(wanted.url, status, reply.headers.get("x-error-code", ""))

    def _anew(self, part: Path) -> None:
        """Throw away what has come."""
        self.meter.add(-_size(part), here=True)
        part.write_bytes(b"")

    def _write(self, reply: httpx.Response, part: Path, size: int | None) -> None:
        with part.open("ab") as file:
            for piece in pieces(reply):
                if self._stopped.is_set():
                    raise Stopped
                file.write(piece)
                self.meter.add(len(piece))
                if size is not None and file.tell() > size:
                    return  # another file, which its hash will tell
                if size is None and file.tell() > UNSIZED_LIMIT:
                    file.truncate(0)
                    raise _endless(str(reply.url))


def stands(wanted: Wanted, path: Path) -> str:
    """The sha256 of the file where it is the one that is wanted, else an empty text."""
    if not wanted.digest or not path.is_file() or wanted.size not in (None, path.stat().st_size):
        return ""
    sha256, digest = digests(path, wanted.kind)
    return sha256 if digest == wanted.digest else ""


def digests(path: Path, kind: Kind = "") -> tuple[str, str]:
    """The sha256 of a file, and its hash of another kind; empty for no kind."""
    sha256 = hashlib.sha256()
    other = hashlib.md5(usedforsecurity=False) if kind == "md5" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        other.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            sha256.update(piece)
            if kind in ("md5", "git"):
                other.update(piece)
    return sha256.hexdigest(), "" if not kind else sha256.hexdigest() if kind == "sha256" else other.hexdigest()


def unreachable(url: str, error: BaseException) -> HarnessError:
    """No answer: an error of one line that names the server."""
    import httpx

    server = httpx.URL(url).host
    return HarnessError(
        f"{server} cannot be reached: {_said(error)}",
        remedy="run the same command again where there is a network; what has come so far is kept",
    )


def _endless(url: str) -> HarnessError:
    said = f"more than {UNSIZED_LIMIT >> 30} GiB have come of a file whose size nobody said, and no more is taken"
    return HarnessError(said, where=url, remedy="take it by hand, and put it into the data's folder")


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _part(wanted: Wanted, target: Path) -> Path:
    part = target.with_name(f"{target.name}.{wanted.digest[:8] or 'new'}.part")
    if not wanted.digest:
        part.unlink(missing_ok=True)
    return part


def parts_of(target: Path) -> list[Path]:
    """What has come of a file so far, under each hash that it was to have."""
    ours = re.compile(re.escape(target.name) + r"\.[0-9a-z]+\.part")
    return [path for path in target.parent.glob("*.part") if ours.fullmatch(path.name)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
