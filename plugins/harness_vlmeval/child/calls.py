"""Guards and watches the HTTP calls of API classes: every provider's rules apply, and the raw reply is kept.

Redirects are not followed, and answers have a size limit. The classes call through `requests`, or through SDKs over
httpx; the harness's own `http/reading.py` reads the answers. Downloads have no body and are not changed.

`generate` of these classes never raises: it returns a fail string, or the error's text, which looks like an answer. The
real outcome is in the result of `generate_inner`: a code, the text, and often the server's response.
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
    """An answer was rejected; an OSError, like the errors of `requests`."""


class LastError(threading.local):
    """The last rejected answer of each thread: zoo classes turn any error into text."""

    error: NotTaken | None = None


LAST = LastError()


@functools.cache
def guard_http(reading: Any) -> None:
    """Guard all HTTP calls of this process; `reading` is the harness's module that reads answers."""
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
    """Raise NotTaken for an unreadable answer; an SDK that retries with success keeps its answer."""
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
    """The last inner call of each thread; empty if none."""

    facts: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed


def watch(model: Any) -> Any:
    """The model; an API class's inner call is watched (`model.harness_seen`).

    Messages already have VLMEvalKit's form, so its preprocessing is skipped: it would open a text that is a file name,
    and fetch one that is a URL.
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
            seen.facts = {"raised": describe_error(LAST.error or error)}  # an SDK wraps it in its own error
            raise
        seen.facts = _read_result(result) if LAST.error is None else {"raised": describe_error(LAST.error)}
        return result

    model.generate_inner = watching
    model.harness_seen = seen
    return model


def _keep_message(message: Any) -> Any:
    return message


def _read_result(result: Any) -> dict[str, Any]:
    """The code, and the status, body and waiting time of a `requests` or `httpx` response, or else the log's text."""
    if not isinstance(result, tuple):
        return {}
    code, answer, log = cast("tuple[Any, Any, Any]", result)
    facts: dict[str, Any] = {"code": code if isinstance(code, int) else -1, "empty": answer == ""}
    status = getattr(log, "status_code", None)
    if not isinstance(status, int):
        return {**facts, "log": str(log)[:2000]}
    headers = {name: log.headers[name] for name in _HEADERS if name in log.headers}
    return {**facts, "status": status, "body": str(log.text)[:_LONGEST_BODY], "headers": headers}
