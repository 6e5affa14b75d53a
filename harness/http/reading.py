"""Reads the body of an answer up to a limit of bytes, as sent and as unpacked, and nothing from another host.

Every provider reads through here. `read` is for aiohttp; `Guarded` makes a client of httpx, such as that of an SDK, do
the same: `class Http(Guarded, openai.DefaultAioHttpClient)`. Reading stops at the limit, so an endless answer, or one
that unpacks to far more than was sent, costs no more memory than the largest one allowed.

This file needs Python 3.9 and its standard library alone: an interpreter without the harness, such as VLMEvalKit's,
may load it by its path.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO, Final, cast

REPLY_LIMIT: Final = 64 << 20  #: most bytes of one answer, unless a setting says otherwise
ENCODINGS: Final = "gzip, deflate"  #: requested encodings: those that can be unpacked piece by piece
MIB: Final = 1 << 20  #: bytes
_ERROR_LIMIT: Final = 1 << 20  # bytes of an error's body: its first words are what is used
_MEMBER_LIMIT: Final = 1000  # streams in a row inside one gzip body
_PLAIN: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_HEAD: Final = b"\x1f\x8b"  # what each member of a gzip body begins with


class Unreadable(Exception):
    """An answer arrived but cannot be read.

    Attributes:
        reason: the Failure's reason: `too_large`, `encoding`, or `connection` if it is damaged.
        transient: whether another try may help.
    """

    def __init__(self, reason: str, said: str, *, transient: bool = False) -> None:
        super().__init__(said)
        self.reason = reason
        self.transient = transient


class Unpacking:
    """Undoes a content encoding, in pieces of at most 1 MiB however much a few bytes unpack to.

    A gzip body may have several members. Bytes after one that begin no other, such as padding, are no part of the
    answer, and neither is what follows them.

    Raises:
        Unreadable: the encoding is not one of ENCODINGS, or what comes is not in it.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in _PLAIN | _GZIP | {"deflate"}:
            said = f"the answer is encoded as {self._encoding[:40]!r}, and {ENCODINGS} was asked for"
            raise Unreadable("encoding", said)
        self._stream: Any = None  # of zlib, which names no type for it
        self._members = 0
        self._between = b""  # of the next member's head, where a piece ended within it
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack a piece."""
        if self._encoding in _PLAIN:
            yield data
            return
        try:
            data, self._between = self._between + data, b""
            while data and not self._ended:
                stream = self._open_stream(data)
                if stream is None:
                    return
                yield stream.decompress(data, MIB)
                data = stream.unconsumed_tail or stream.unused_data
        except zlib.error as error:
            raise self._damage_error(error) from None

    def end(self) -> bytes:
        """The last bytes: a few, since all that came has been unpacked."""
        try:
            return b"" if self._stream is None else self._stream.flush()
        except zlib.error as error:
            raise self._damage_error(error) from None

    def _open_stream(self, data: bytes) -> Any:
        """The stream that takes the next bytes; None if they belong to none."""
        if self._stream is not None and not self._stream.eof:
            return self._stream
        if self._stream is not None:  # it has ended, and another member may begin
            if self._encoding in _GZIP and len(data) < len(_HEAD) and _HEAD.startswith(data):
                self._between = data  # its head may not be whole yet: the bytes wait
                return None
            self._ended = self._encoding not in _GZIP or not data.startswith(_HEAD)
            if self._ended:
                return None
        self._members += 1
        if self._members > _MEMBER_LIMIT:
            raise Unreadable("too_large", f"the answer holds more than {_MEMBER_LIMIT} streams of {self._encoding}")
        bare = self._encoding == "deflate" and data[0] & 0x0F != zlib.DEFLATED
        kind = 16 + zlib.MAX_WBITS if self._encoding in _GZIP else -zlib.MAX_WBITS if bare else zlib.MAX_WBITS
        self._stream = zlib.decompressobj(kind)
        return self._stream

    def _damage_error(self, error: zlib.error) -> Unreadable:
        return Unreadable("connection", f"the answer is damaged: not {self._encoding}: {error}", transient=True)


async def read(
    status: int, headers: Mapping[str, str], pieces: AsyncIterable[bytes], limit: int, sink: BinaryIO | None = None
) -> bytes:
    """Read and unpack the body of an answer. Of an error's body it may read only the beginning.

    Args:
        status: of the answer.
        headers: of the answer; upper and lower case are alike.
        pieces: the body as it arrives, not unpacked.
        limit: most bytes to read, both as sent and unpacked.
        sink: receives the body of a successful answer, piece by piece; then nothing is returned.

    Raises:
        Unreadable: the body is larger than `limit`, or cannot be unpacked.
    """
    reader = _BodyReader(status, headers, limit, sink)
    async for piece in pieces:
        if not reader.add(piece):
            break
    return reader.end()


def read_now(status: int, headers: Mapping[str, str], pieces: Iterable[bytes], limit: int) -> bytes:
    """Like `read`, for a body that has already arrived."""
    reader = _BodyReader(status, headers, limit)
    for piece in pieces:
        if not reader.add(piece):
            break
    return reader.end()


class _BodyReader:
    """One body. Unreadable bytes make a successful answer Unreadable; an error's body ends before them."""

    def __init__(self, status: int, headers: Mapping[str, str], limit: int, sink: BinaryIO | None = None) -> None:
        self._whole = status < 300
        self._sink = sink if self._whole else None
        self._size = 0
        self._limit = limit if self._whole else min(limit, _ERROR_LIMIT)
        self._received = 0
        self._content = bytearray()
        self._unpacker: Unpacking | None = None
        length = headers.get("content-length", "")
        if self._whole and length.isdigit() and int(length) > limit:
            raise _too_large(limit)
        try:
            self._unpacker = Unpacking(headers.get("content-encoding", ""))
        except Unreadable:
            if self._whole:
                raise

    def add(self, piece: bytes) -> bool:
        """Add a piece; returns whether the next one is needed."""
        if self._unpacker is None:
            return False
        try:
            self._received += len(piece)
            if self._received > self._limit:
                raise _too_large(self._limit)
            for unpacked in self._unpacker.feed(piece):
                self._size += len(unpacked)
                if self._size > self._limit:
                    raise _too_large(self._limit)
                if self._sink is None:
                    self._content += unpacked
                else:
                    self._sink.write(unpacked)
        except Unreadable:
            if self._whole:
                raise
            self._unpacker = None
        return self._unpacker is not None

    def end(self) -> bytes:
        last = b"" if self._unpacker is None else self._unpacker.end()
        if self._sink is None:
            return bytes(self._content) + last
        self._sink.write(last)
        return b""


def _too_large(limit: int) -> Unreadable:
    return Unreadable("too_large", f"the answer is larger than {limit / MIB:g} MiB, and no more is read of one")


_ALLOWED: ContextVar[int] = ContextVar("bytes that are read of an answer, at least", default=0)
_SINK: ContextVar[BinaryIO | None] = ContextVar("file that gets an answer's body", default=None)


@contextmanager
def read_into(file: BinaryIO, size: int) -> Generator[None]:
    """Let Guarded clients write successful answers of up to so many bytes into a file, such as that of a batch.

    The answers themselves are empty then, so that no large one is held in memory.
    """
    tokens = _ALLOWED.set(size), _SINK.set(file)
    try:
        yield
    finally:
        _ALLOWED.reset(tokens[0])
        _SINK.reset(tokens[1])


class Guarded:
    """A mixin for an asynchronous httpx client: it follows no redirect and reads answers by `read`.

    Args:
        reply_limit: most bytes to read of one answer.
        options: of the client.
    """

    def __init__(self, *, reply_limit: int = REPLY_LIMIT, **options: Any) -> None:
        super().__init__(**options)
        self._reply_limit = reply_limit

    async def send(self, *given: Any, **named: Any) -> Any:
        """Send a request and read the answer's body. Raises Unreadable if that is not possible."""
        request, options = given[0], {**named, "stream": True, "follow_redirects": False}
        request.headers["accept-encoding"] = ENCODINGS
        answer: Any = await cast("Any", super()).send(request, **options)
        try:
            limit = max(self._reply_limit, _ALLOWED.get())
            content = await read(answer.status_code, answer.headers, answer.aiter_raw(), limit, _SINK.get())
        finally:
            await answer.aclose()
        return replace_content(answer, content)


def replace_content(answer: Any, content: bytes) -> Any:
    """A copy of an answer of httpx with the unpacked content, as if it had come that way."""
    packing = {"content-encoding", "content-length", "transfer-encoding"}
    made = type(answer)(
        answer.status_code,
        headers=[(name, value) for name, value in answer.headers.multi_items() if name.lower() not in packing],
        content=content,
        request=answer.request,
        extensions=answer.extensions,
        default_encoding=answer.default_encoding,
    )
    made.elapsed = answer.elapsed
    return made
