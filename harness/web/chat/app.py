"""The application: routes, the body within its limit, one call of the model, and errors in one shape."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from harness.contracts import Model
from harness.errors import HarnessError
from harness.groups import ungrouped
from harness.limits.metered import try_once
from harness.settings import nearest
from harness.types import Json
from harness.types import Request as Asked
from harness.web.chat.answers import completion, encoded, events
from harness.web.chat.asking import to_request
from harness.web.chat.body import Body, parse
from harness.web.chat.refused import Refused, of_error

_GONE = Response(status_code=499)  # nobody reads it


def make(model: Model, *, name: str, files: Path | None, body_limit: int) -> Starlette:
    """The application without its guard; see `chat_app`."""
    chat = _Chat(model, name, files, body_limit)
    return Starlette(
        routes=[
            Route("/v1/models", chat.models),
            Route("/v1/models/{id:path}", chat.model),
            Route("/v1/chat/completions", chat.complete, methods=["POST"]),
        ],
        exception_handlers={Refused: _refused, HTTPException: _unrouted, Exception: _bug},
    )


class _Chat:
    def __init__(self, model: Model, name: str, files: Path | None, body_limit: int) -> None:
        self._model = model
        self._name = name
        self._files = files
        self._limit = body_limit
        self._since = int(time.time())

    async def models(self, _: Request) -> Response:
        return _json({"object": "list", "data": [self._card()]})

    async def model(self, request: Request) -> Response:
        self._insist(request.path_params["id"])
        return _json(self._card())

    def _card(self) -> Json:
        return {"id": self._name, "object": "model", "created": self._since, "owned_by": "harness"}

    def _insist(self, name: str) -> None:
        if name != self._name:
            message = f"there is no model {name!r}: {nearest(name, [self._name])}"
            raise Refused(404, message, param="model", code="model_not_found")

    async def complete(self, request: Request) -> Response:
        try:
            data = await self._received(request)
        except ClientDisconnect:
            return _GONE
        body, asked = await anyio.to_thread.run_sync(self._read, data)
        whole = await self._answer(request, asked)
        if whole is None:
            return _GONE
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return StreamingResponse(events(whole, usage=usage), media_type="text/event-stream")
        return _json(whole)

    async def _received(self, request: Request) -> bytes:
        data, length = bytearray(), request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limit:
            raise self._too_large()
        async for chunk in request.stream():
            data += chunk
            if len(data) > self._limit:
                raise self._too_large()
        return bytes(data)

    def _too_large(self) -> Refused:
        return Refused(413, f"the body is over {self._limit} bytes", code="request_too_large")

    def _read(self, data: bytes) -> tuple[Body, Asked]:
        body = parse(data)
        self._insist(body.model)
        return body, to_request(body, self._model.info, self._files)

    async def _answer(self, request: Request, asked: Asked) -> Mapping[str, Json] | None:
        """The completion; None where the client is gone, whose call is given up."""
        found: list[Mapping[str, Json]] = []
        with ungrouped():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_watch, request, tasks.cancel_scope)
                found.append(await self._ask(asked))
                tasks.cancel_scope.cancel()
        return found[0] if found else None

    async def _ask(self, asked: Asked) -> Mapping[str, Json]:
        try:
            return completion(await try_once(self._model, asked), self._name)
        except HarnessError as error:
            raise of_error(error) from None


async def _watch(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _json(payload: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(payload), status, dict(headers or {}), media_type="application/json")


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json(error.payload, error.status, error.headers)


def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"there is no {request.method} {request.url.path}"
    return _refused(request, Refused(error.status_code, message, code="unknown_url"))


def _bug(request: Request, error: Exception) -> Response:
    return _refused(request, Refused(500, f"a bug: {type(error).__name__}", code="bug"))
