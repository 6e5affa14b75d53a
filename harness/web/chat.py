"""A model behind OpenAI's Chat Completions: routes, the body within its limit, one call, and errors in one shape."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from harness.contracts import Model
from harness.errors import HarnessError, unwrap_groups
from harness.limits.metered import try_once
from harness.settings import nearest
from harness.types import Failure, Json
from harness.types import Request as ModelRequest
from harness.types import Response as ModelResponse
from harness.web.chat_requests import RequestError, build_request, failure_error, model_error, parse_body

_GONE = Response(status_code=499)  # the client has left and does not read it


def make_app(model: Model, *, name: str, files: Path | None, body_limit: int) -> Starlette:
    """The application without its guard; see `chat_app`."""
    chat = _Chat(model, name, files, body_limit)
    return Starlette(
        routes=[
            Route("/v1/models", chat.models),
            Route("/v1/models/{id:path}", chat.model),
            Route("/v1/chat/completions", chat.complete, methods=["POST"]),
        ],
        exception_handlers={RequestError: _answer_error, HTTPException: _answer_error, Exception: _answer_error},
    )


class _Chat:
    def __init__(self, model: Model, name: str, files: Path | None, body_limit: int) -> None:
        self._model = model
        self._name = name
        self._files = files
        self._limit = body_limit
        self._card: Json = {"id": name, "object": "model", "created": int(time.time()), "owned_by": "harness"}

    async def models(self, _: Request) -> Response:
        return _json_response({"object": "list", "data": [self._card]})

    async def model(self, request: Request) -> Response:
        self._check_name(request.path_params["id"])
        return _json_response(self._card)

    def _check_name(self, name: str) -> None:
        if name != self._name:
            message = f"there is no model {name!r}: {nearest(name, [self._name])}"
            raise RequestError(404, message, param="model", code="model_not_found")

    async def complete(self, request: Request) -> Response:
        too_large = RequestError(413, f"the body is over {self._limit} bytes", code="request_too_large")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._limit:
            raise too_large
        data = bytearray()
        try:
            async for chunk in request.stream():
                data += chunk
                if len(data) > self._limit:
                    raise too_large
        except ClientDisconnect:
            return _GONE

        def parse() -> tuple[bool, bool, ModelRequest]:
            body = parse_body(bytes(data))
            self._check_name(body.model)
            usage = body.stream_options is not None and body.stream_options.include_usage
            return bool(body.stream), usage, build_request(body, self._model.info, self._files)

        stream, usage, asked = await anyio.to_thread.run_sync(parse)
        whole = await self._answer(request, asked)
        if whole is None:
            return _GONE
        if stream:
            return StreamingResponse(_stream_events(whole, usage=usage), media_type="text/event-stream")
        return _json_response(whole)

    async def _answer(self, request: Request, asked: ModelRequest) -> Mapping[str, Json] | None:
        """The completion; None if the client has gone, whose call is then cancelled."""
        found: list[Mapping[str, Json]] = []
        with unwrap_groups():
            async with anyio.create_task_group() as tasks:

                async def cancel_on_disconnect() -> None:
                    while (await request.receive())["type"] != "http.disconnect":
                        pass
                    tasks.cancel_scope.cancel()

                tasks.start_soon(cancel_on_disconnect)
                try:
                    found.append(build_completion(await try_once(self._model, asked), self._name))
                except HarnessError as error:
                    raise model_error(error) from None
                tasks.cancel_scope.cancel()
        return found[0] if found else None


def _answer_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        message = f"there is no {request.method} {request.url.path}"
        error = RequestError(error.status_code, message, code="unknown_url")
    elif not isinstance(error, RequestError):
        error = RequestError(500, f"a bug: {type(error).__name__}", code="bug")
    return _json_response(error.payload, error.status, error.headers)


def _json_response(payload: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encode(payload), status, dict(headers or {}), media_type="application/json")


def build_completion(result: ModelResponse | Failure, model: str) -> dict[str, Json]:
    """A chat completion.

    A block of the answer is finish reason `content_filter` with the partial text, a token limit is `length`, and the
    model's own refusal stands in `refusal` as well as in `content`, for clients that read only that.

    Raises:
        RequestError: there is no completion: the failure is another than `output_blocked`.
    """
    if isinstance(result, Failure) and result.outcome != "output_blocked":
        raise failure_error(result)
    message: dict[str, Json] = {"role": "assistant", "content": result.text, "refusal": None}
    finish_reason = "content_filter"
    if isinstance(result, ModelResponse):
        finish_reason = "length" if "truncated" in result.flags else "stop"
        if "refusal" in result.flags:
            message["refusal"] = result.text
        if result.reasoning:
            message["reasoning_content"] = result.reasoning
    usage = result.usage
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        },
    }


def _stream_events(whole: Mapping[str, Json], *, usage: bool) -> Iterator[bytes]:
    """A completion as server-sent events: the message, how it ended, the tokens if they are asked for, the end."""
    head = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = whole["choices"][0]
    delta = {name: value for name, value in choice["message"].items() if value is not None}
    first: dict[str, Json] = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    last: dict[str, Json] = {**first, "delta": {}, "finish_reason": choice["finish_reason"]}
    events: list[dict[str, Json]] = [{"choices": [first]}, {"choices": [last]}]
    if usage:
        events.append({"choices": [], "usage": whole["usage"]})
    for event in events:
        yield b"data: " + _encode(head | event) + b"\n\n"
    yield b"data: [DONE]\n\n"


def _encode(payload: Json) -> bytes:
    """JSON in ASCII: an answer may hold what no encoding has, such as half of a surrogate pair."""
    return json.dumps(payload, allow_nan=False).encode("ascii")
