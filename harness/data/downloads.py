"""Downloads one file by HTTP: continues an interrupted download, and keeps only the published file.

The bytes so far are in `NAME.<tag>.part` next to the file; the tag is the start of the expected hash. So any later
command continues a part only as the same file. A file with an unknown hash starts again with each command; within one
command it continues only if the server says that it is still the same file.
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TextIO

from harness.data.transfer import Waits, open_url, read_pieces
from harness.errors import HarnessError

if TYPE_CHECKING:
    import httpx
    from rich.progress import Progress, TaskID

PATIENCE: Final = 30.0  #: seconds to wait for a silent server
TRIES: Final = 5  #: tries in a row without a new byte
PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0)  #: seconds before each try after the first
UNSIZED_LIMIT: Final = 16 << 30  #: bytes of a file whose size no server states
LINE_EVERY: Final = 5.0  #: seconds between two lines of progress
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_BLOCK: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
HashKind = Literal["", "sha256", "md5", "git"]  #: `git` is the sha1 of a blob; empty knows no hash


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        path: path under the data root.
        url: address of the download.
        size: bytes; None if unknown.
        kind: kind of the hash.
        digest: the expected hash.
        headers: request headers; never shown.
    """

    path: str
    url: str
    size: int | None = None
    kind: HashKind = ""
    digest: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)


class Refusal(Exception):
    """A server refuses a file for good; `code` is the hub's word for the reason."""

    def __init__(self, url: str, status: int, code: str = "") -> None:
        super().__init__(f"{url} answered {status}")
        self.status = status
        self.code = code


class Stopped(Exception):
    """Another download failed, so this one was stopped."""


class _TryAgain(Exception):
    """Another try may succeed."""


class _TryLater(_TryAgain):
    """Another try may succeed after the pause that the server asks for."""


@dataclass(slots=True, kw_only=True)
class ResumeState:
    """How a server identified a file at its start, so that parts of two files are never joined.

    Attributes:
        hashed: whether the file's hash is known, so that a wrong rest is detected at the end.
        mark: a strong ETag, else the time of the last change; empty if the server sent neither.
        total: size in bytes; None if the server did not state it.
    """

    hashed: bool
    mark: str = ""
    total: int | None = None

    def read(self, reply: httpx.Response) -> None:
        """Read these facts from a reply that starts the file."""
        etag = reply.headers.get("etag", "")
        strong = "" if etag.startswith("W/") else etag
        length = reply.headers.get("content-length", "")
        self.mark = strong or reply.headers.get("last-modified", "")
        self.total = int(length) if length.isdigit() else None

    @property
    def can_resume(self) -> bool:
        """Whether a replaced file would be detected."""
        return self.hashed or bool(self.mark)

    def request_headers(self, at: int) -> dict[str, str]:
        """The headers that request the rest from a byte on, or the whole file if it has changed."""
        if not at:
            return {}
        return {"range": f"bytes={at}-"} | ({"if-range": self.mark} if self.mark else {})

    def is_continued_by(self, reply: httpx.Response, at: int) -> bool:
        """Whether a reply with status 206 continues the same file at the requested byte."""
        found = _RANGE.fullmatch(reply.headers.get("content-range", "").strip())
        if found is None:
            return self.hashed
        total = None if found[2] == "*" else int(found[2])
        etag = reply.headers.get("etag", self.mark)
        same = not self.mark.startswith('"') or etag == self.mark
        return int(found[1]) == at and same and (None in (total, self.total) or total == self.total)


class Downloads:
    """Downloads files one by one, from several threads at once if need be."""

    def __init__(self, client: httpx.Client, progress: DownloadProgress) -> None:
        self.progress = progress
        self._client = client
        self._stopped = threading.Event()
        self._waits = Waits(progress.tell, self._stopped)
        self._answered = False  # a server that has answered before is worth waiting for
        self._replies: set[httpx.Response] = set()

    def stop(self) -> None:
        """Stop all running downloads, also those waiting for a silent server; keeps the bytes so far."""
        self._stopped.set()
        for reply in list(self._replies):
            with suppress(OSError):
                reply.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def get(self, file: RemoteFile, target: Path) -> str:
        """Download one file unless it exists; returns its sha256.

        Raises:
            Refusal: the server refuses it.
            Stopped: `stop` was called.
            HarnessError: the server cannot be reached, or the file is not the published one.
        """
        found = match_file(file, target)
        if found:
            self.progress.add(target.stat().st_size, here=True)
            return found
        part = target.with_name(f"{target.name}.{file.digest[:8] or 'new'}.part")
        if not file.digest:
            part.unlink(missing_ok=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        try:
            self._complete(file, part)
        except BaseException:
            if not _size(part):
                part.unlink()
            raise
        sha256, digest = hash_file(part, file.kind)
        if digest != file.digest:
            part.unlink()
            what = f"{file.path} differs from the published file: {file.kind} {digest}, not {file.digest}"
            raise HarnessError(
                what, where=file.url, remedy="try again; if the error stays, a proxy or a mirror changes the file"
            )
        part.replace(target)
        for stale in find_parts(target):
            stale.unlink(missing_ok=True)
        return sha256

    def _complete(self, file: RemoteFile, part: Path) -> None:
        """Try until the file is complete; a try with new bytes resets the count of tries."""
        import httpx

        self.progress.add(_size(part), here=True)
        failed, most, state = 0, _size(part), ResumeState(hashed=bool(file.digest), total=file.size)
        while file.size is None or _size(part) != file.size:
            try:
                self._request(file, part, state)
            except (httpx.TransportError, _TryAgain) as error:
                if self._stopped.is_set():
                    raise Stopped from None
                failed = 1 if _size(part) > most else failed + 1
                most = max(most, _size(part))
                if failed == TRIES or not self._answered:
                    raise unreachable_error(file.url, error) from None
                if not isinstance(error, _TryLater):
                    self.progress.tell(f"{file.path}: {_one_line(error)}; trying again")
                    self._stopped.wait(PAUSES[failed])
            else:
                return

    def _request(self, file: RemoteFile, part: Path, state: ResumeState) -> None:
        """Request the missing bytes once, and append them."""
        self._waits.rest()
        if self._stopped.is_set():
            raise Stopped
        if _size(part) and not state.can_resume:
            self._discard(part)
        at = _size(part)
        headers = {"accept-encoding": "identity", **file.headers, **state.request_headers(at)}
        with open_url(self._client, file.url, headers) as reply:
            self._answered = True
            status = reply.status_code
            if (status in _RETRIED or status == 403) and self._waits.note(file.url, reply.headers):
                raise _TryLater(f"{file.url} answered {status}")
            if status in _RETRIED:
                raise _TryAgain(f"{file.url} answered {status}")
            if not reply.is_success and status != 416:
                raise Refusal(file.url, status, reply.headers.get("x-error-code", ""))
            if status == 416:
                self._discard(part)
                raise _TryAgain(f"{file.url} is shorter than what has come of it")
            if status != 206:  # the server sends the whole file
                self._discard(part)
                state.read(reply)
            elif at and not state.is_continued_by(reply, at):
                self._discard(part)
                raise _TryAgain(f"{file.url} is another file than the one that was begun")
            if file.size is None and "content-length" in reply.headers:
                self.progress.expect(_size(part) + int(reply.headers["content-length"]))
            self._replies.add(reply)
            try:
                self._append(reply, part, file.size)
            finally:
                self._replies.discard(reply)
        if file.size is not None and _size(part) < file.size:
            raise _TryAgain(f"{file.url} ended early")

    def _discard(self, part: Path) -> None:
        self.progress.add(-_size(part), here=True)
        part.write_bytes(b"")

    def _append(self, reply: httpx.Response, part: Path, size: int | None) -> None:
        with part.open("ab") as file:
            for piece in read_pieces(reply):
                if self._stopped.is_set():
                    raise Stopped
                file.write(piece)
                self.progress.add(len(piece))
                if size is not None and file.tell() > size:
                    return  # another file; its hash will show it
                if size is None and file.tell() > UNSIZED_LIMIT:
                    file.truncate(0)
                    raise HarnessError(
                        f"the server does not give the file's size, and more than {UNSIZED_LIMIT >> 30} GiB came",
                        where=str(reply.url),
                        remedy="download it by hand, and put it into the data's folder",
                    )


def match_file(file: RemoteFile, path: Path) -> str:
    """The sha256 of a file on disk if it is the remote one; else an empty text."""
    if not file.digest or not path.is_file() or file.size not in (None, path.stat().st_size):
        return ""
    sha256, digest = hash_file(path, file.kind)
    return sha256 if digest == file.digest else ""


def hash_file(path: Path, kind: HashKind = "") -> tuple[str, str]:
    """The sha256 of a file, and its hash of another kind; empty for no kind."""
    sha256 = hashlib.sha256()
    other = hashlib.md5(usedforsecurity=False) if kind == "md5" else hashlib.sha1(usedforsecurity=False)
    if kind == "git":
        other.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha256.update(block)
            if kind in ("md5", "git"):
                other.update(block)
    return sha256.hexdigest(), "" if not kind else sha256.hexdigest() if kind == "sha256" else other.hexdigest()


def unreachable_error(url: str, error: BaseException) -> HarnessError:
    """The error for a server that does not answer; its one line names the server."""
    import httpx

    server = httpx.URL(url).host
    return HarnessError(
        f"{server} cannot be reached: {_one_line(error)}",
        remedy="run the same command again where there is a network; what was downloaded so far is kept",
    )


def find_parts(target: Path) -> list[Path]:
    """The parts of a file next to it, with any hash."""
    ours = re.compile(re.escape(target.name) + r"\.[0-9a-z]+\.part")
    return [path for path in target.parent.glob("*.part") if ours.fullmatch(path.name)]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def format_bytes(size: float) -> str:
    """Bytes in readable form: `812 B`, `5.9 GB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} B"


class DownloadProgress:
    """Counts the bytes of a download and prints a line every few seconds; several threads may call `add`."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._what, self._total, self._done, self._new = "", 0, 0, 0
        self._started = self._printed = 0.0

    @contextmanager
    def of(self, what: str, total: int | None = None) -> Generator[None]:
        """Count the bytes of the body.

        Args:
            what: text before the numbers.
            total: number of bytes; None if unknown.
        """
        self._what, self._total, self._done, self._new = what, total or 0, 0, 0
        self._started = self._printed = self._clock()
        with self._display():
            yield

    def add(self, size: int, *, here: bool = False) -> None:
        """Count bytes; `here` means they were on this machine already, so they do not count for the speed."""
        with self._lock:
            self._done += size
            self._new += 0 if here else size
            self._show()

    def expect(self, total: int) -> None:
        """Set the total number of bytes, once known."""
        with self._lock:
            self._total = total

    def tell(self, line: str) -> None:
        """Print a line next to the numbers."""
        print(line, file=self._stream, flush=True)

    def text(self) -> str:
        """The current state in one line."""
        seconds = self._clock() - self._started
        whole = f" of {format_bytes(self._total)}" if self._total else ""
        rate = f", {format_bytes(self._new / seconds)}/s" if seconds > 0 and self._new else ""
        return f"{self._what}: {format_bytes(self._done)}{whole}{rate}"

    @contextmanager
    def _display(self) -> Generator[None]:
        yield

    def _show(self) -> None:
        now = self._clock()
        if now - self._printed >= LINE_EVERY:
            self._printed = now
            print(self.text(), file=self._stream, flush=True)


class DownloadBar(DownloadProgress):
    """The same as a bar that is redrawn."""

    _bar: Progress | None = None
    _task: TaskID

    def tell(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar is None:
            super().tell(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _display(self) -> Generator[None]:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=Console(file=self._stream), transient=True) as self._bar:
                self._task = self._bar.add_task(self._what, total=self._total or None)
                yield
        finally:
            self._bar = None

    def _show(self) -> None:
        assert self._bar is not None, "add is called inside `of`"
        self._bar.update(self._task, completed=self._done, total=self._total or None)


def open_progress(stream: TextIO) -> DownloadProgress:
    """A bar on a terminal, lines elsewhere."""
    return DownloadBar(stream) if stream.isatty() else DownloadProgress(stream)
