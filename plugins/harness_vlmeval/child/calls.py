"""What classes that ask an API post and get: held to the rules of every provider, and seen before it becomes text.

No redirect takes a prompt elsewhere, and no answer is endless. The classes ask through `requests`, or through SDKs over
httpx; answers are read by the harness's own `http/reading.py`. Downloads have no body and go as they always did.

`generate` of these classes never raises: it gives a fail string, and some give the error's own words, which would pass
for an answer. The truth is what `generate_inner` returns: a code, the text, and often the server's response.
"""

from __future__ import annotations

import functools
import importlib
import io
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, cast

from .protocol import Refused, describe_error

_PIECE = 1 << 16
_LONGEST_BODY = 1_000_000
_HEADERS = ("retry-after", "retry-after-ms", "location")


class NotTaken(Refused, OSError):
    """An answer came and was not taken; an OSError, as what `requests` raises is one."""


class LastError(threading.local):
    """The answer that was not taken in this thread: classes of the zoo make a text of any error."""

    error: NotTaken | None = None


LAST = LastError()


@functools.cache
def guard_http(reading: Any) -> None:
    """Guard all that asks over HTTP in this process; `reading` is the module of the harness that reads answers."""
    with suppress(ImportError):
        session: Any = importlib.import_module("requests").Session
        session.send = _guard_requests(session.send, reading)
    for name in ("httpx", "httpx2"):
        with suppress(ImportError):
            package: Any = importlib.import_module(name)
            package.Client.send = _guard_httpx(package.Client.send, reading)
            package.AsyncClient.send = _guard_async_httpx(package.AsyncClient.send, reading)


@contextmanager
def _raise_unreadable(reading: Any) -> Generator[None]:
    """Raise what cannot be read as NotTaken; an SDK that asks once more, and is answered, has its answer."""
    LAST.error = None
    try:
        yield
    except reading.Unreadable as error:
        LAST.error = NotTaken("unreadable", str(error), reason=error.reason, transient=error.transient)
        raise LAST.error from None


def _guard_requests(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    def send_guarded(self: Any, request: Any, **options: Any) -> Any:
        if request.body is None:
            return send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = send(self, request, **{**options, "stream": True, "allow_redirects": False})
        wire = reply.raw
        pieces = wire.stream(_PIECE, decode_content=False)
        try:
            with _raise_unreadable(reading):
                taken = reading.read_now(reply.status_code, reply.headers, pieces, reading.REPLY_LIMIT)
        finally:
            wire.close()
        reply.raw = io.BytesIO(taken)
        return reply

    return send_guarded


def _guard_httpx(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    def send_guarded(self: Any, request: Any, **options: Any) -> Any:
        if request.method != "POST":
            return send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = send(self, request, **{**options, "stream": True, "follow_redirects": False})
        try:
            with _raise_unreadable(reading):
                taken = reading.read_now(reply.status_code, reply.headers, reply.iter_raw(), reading.REPLY_LIMIT)
        finally:
            reply.close()
        return reading.replace_content(reply, taken)

    return send_guarded


def _guard_async_httpx(send: Any, reading: Any) -> Any:
    @functools.wraps(send)
    async def send_guarded(self: Any, request: Any, **options: Any) -> Any:
        if request.method != "POST":
            return await send(self, request, **options)
        request.headers["Accept-Encoding"] = reading.ENCODINGS
        reply = await send(self, request, **{**options, "stream": True, "follow_redirects": False})
        try:
            with _raise_unreadable(reading):
                taken = await reading.read(reply.status_code, reply.headers, reply.aiter_raw(), reading.REPLY_LIMIT)
        finally:
            await reply.aclose()
        return reading.replace_content(reply, taken)

    return send_guarded


class Seen(threading.local):
    """The last inner call of each thread; empty where there was none."""

    facts: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed


def watch(model: Any) -> Any:
    """The model with its inner call watched (`model.harness_seen`), where it is a class that asks an API.

    Messages come in VLMEvalKit's own form already, so its look at them is left out: it would open a text that is the
    name of a file, and fetch one that is an address.
    """
    if hasattr(model, "preproc_content"):
        model.preproc_content = _keep_message
    inner = getattr(model, "generate_inner", None)
    if inner is None or not getattr(model, "is_api", False):
        return model
    seen = Seen()

    def watching(*given: Any, **named: Any) -> Any:
        LAST.error = None
        try:
            result = inner(*given, **named)
        except Exception as error:
            seen.facts = {"raised": describe_error(LAST.error or error)}  # an SDK makes an error of its own of it
            raise
        seen.facts = _read_result(result) if LAST.error is None else {"raised": describe_error(LAST.error)}
        return result

    model.generate_inner = watching
    model.harness_seen = seen
    return model


def _keep_message(message: Any) -> Any:
    return message


def _read_result(result: Any) -> dict[str, Any]:
    """The code, and status, body and waiting time of what `requests` or `httpx` gave, or else the words of the log."""
    if not isinstance(result, tuple):
        return {}
    code, answer, log = cast("tuple[Any, Any, Any]", result)
    facts: dict[str, Any] = {"code": code if isinstance(code, int) else -1, "empty": answer == ""}
    status = getattr(log, "status_code", None)
    if not isinstance(status, int):
        return {**facts, "log": str(log)[:2000]}
    headers = {name: log.headers[name] for name in _HEADERS if name in log.headers}
    return {**facts, "status": status, "body": str(log.text)[:_LONGEST_BODY], "headers": headers}
