"""What the zoo's classes post, held to the rules of every provider: no redirect takes a prompt elsewhere, and no answer
is endless.

The classes ask through `requests`, or through SDKs over httpx. Downloads have no body and go as they always did.
"""

from __future__ import annotations

import functools
import importlib
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

LIMIT = 64 << 20  #: bytes of one answer, as sent and unpacked
_PIECE = 1 << 16
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class TooLarge(OSError):
    """An answer is larger than what is taken of one."""


class Last(threading.local):
    """The answer that was not taken in this thread: classes of the zoo make a text of any error."""

    error: TooLarge | None = None


LAST = Last()


@functools.cache
def hold() -> None:
    """Hold whatever asks over HTTP in this process."""
    with suppress(ImportError):
        session: Any = importlib.import_module("requests").Session
        session.send = _held_requests(session.send)
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            package: Any = importlib.import_module(name)
            for kind in (package.Client, package.AsyncClient):
                kind.send = _held_httpx(kind.send)


def _held_requests(send: Any) -> Any:
    @functools.wraps(send)
    def held(self: Any, request: Any, **options: Any) -> Any:
        if request.body is None:
            return send(self, request, **options)
        request.headers["Accept-Encoding"] = "gzip, deflate"
        reply = send(self, request, **{**options, "stream": True, "allow_redirects": False})
        wire = reply.raw
        try:
            reply.raw = io.BytesIO(_taken(wire, reply.headers.get("content-encoding", "").strip().lower()))
        except TooLarge as error:
            LAST.error = error
            raise
        finally:
            wire.close()
        return reply

    return held


def _taken(wire: Any, encoding: str) -> bytes:
    content, came = bytearray(), 0
    unpacking = zlib.decompressobj(_WBITS[encoding]) if encoding in _WBITS else None
    for piece in wire.stream(_PIECE, decode_content=False):
        came += len(piece)
        for unpacked in _pieces(unpacking, piece):
            content += unpacked
            if max(came, len(content)) > LIMIT:
                raise TooLarge(f"the answer is larger than {LIMIT >> 20} MiB, and no more is read of one")
    return bytes(content)


def _pieces(unpacking: Any, data: bytes) -> Iterator[bytes]:
    if unpacking is None:
        yield data
        return
    while data and not unpacking.eof:
        yield unpacking.decompress(data, 1 << 20)
        data = unpacking.unconsumed_tail


def _held_httpx(send: Any) -> Any:
    @functools.wraps(send)
    def held(self: Any, request: Any, **options: Any) -> Any:
        if request.method == "POST":
            options["follow_redirects"] = False
        return send(self, request, **options)  # of an asynchronous client, what is awaited

    return held
