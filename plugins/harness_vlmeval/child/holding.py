"""What the zoo's classes post, held to the rules of every provider: no redirect takes a prompt elsewhere, and no answer
is endless.

The classes ask through `requests`, or through SDKs over httpx. Answers are read by the harness's own `http/reading.py`.
Downloads have no body and go as they always did.
"""

from __future__ import annotations

import functools
import importlib
import io
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from .faults import Refused

_PIECE = 1 << 16


class NotTaken(Refused, OSError):
    """An answer came and was not taken; an OSError, as what `requests` raises is one."""


class Last(threading.local):
    """The answer that was not taken in this thread: classes of the zoo make a text of any error."""

    error: NotTaken | None = None


LAST = Last()


@functools.cache
def hold(reading: Any) -> None:
    """Hold whatever asks over HTTP in this process; `reading` is the module of the harness that reads answers."""
    with suppress(ImportError):
        session: Any = importlib.import_module("requests").Session
        session.send = _held_requests(session.send, reading)
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            package: Any = importlib.import_module(name)
            package.Client.send = _held_httpx(package.Client.send, reading)
            package.AsyncClient.send = _held_async_httpx(package.AsyncClient.send, reading)


@contextmanager
def _taking(reading: Any) -> Generator[None]:
    """Turn what cannot be read into NotTaken; an SDK that asks once more, and is answered, has its answer."""
    LAST.error = None
    try:
        yield
    except reading.Unreadable as error:
        LAST.error = NotTaken("unreadable", str(error), reason=error.reason, transient=error.transient)
        raise LAST.error from None


def _held_requests(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    def held(self: Any, request: Any, **options: Any) -> Any:
        if request.body is None:
            return send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = send(self, request, **{**options, "stream": True, "allow_redirects": False})
        wire = reply.raw
        pieces = wire.stream(_PIECE, decode_content=False)
        try:
            with _taking(reading):
                taken = reading.read_now(reply.status_code, reply.headers, pieces, reading.REPLY_LIMIT)
        finally:
            wire.close()
        reply.raw = io.BytesIO(taken)
        return reply

    return held


def _held_httpx(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    def held(self: Any, request: Any, **options: Any) -> Any:
        if request.method != "POST":
            return send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = send(self, request, **{**options, "stream": True, "follow_redirects": False})
        try:
            with _taking(reading):
                taken = reading.read_now(reply.status_code, reply.headers, reply.iter_raw(), reading.REPLY_LIMIT)
        finally:
            reply.close()
        return reading.replaced(reply, taken)

    return held


def _held_async_httpx(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    async def held(self: Any, request: Any, **options: Any) -> Any:
        if request.method != "POST":
            return await send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = await send(self, request, **{**options, "stream": True, "follow_redirects": False})
        try:
            with _taking(reading):
                taken = await reading.read(reply.status_code, reply.headers, reply.aiter_raw(), reading.REPLY_LIMIT)
        finally:
            await reply.aclose()
        return reading.replaced(reply, taken)

    return held
