"""The gemini provider over real HTTP against a local server that plays the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import harness_gemini
from aiohttp import web

from harness import Model
from harness.settings import effective
from harness.testing.faults import Reply
from tests.plugins.openai_asking import ASKED, FIRST, SECOND

MODEL = "gemini-test-001"  #: the version the server reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any] = field(repr=False)

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.body.get("generationConfig", {}))


Play = Callable[[Asked], Reply]


def sent(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode(), headers=headers or {})


def said(
    text: str | None = "ok", *, finish: str | None = "STOP", thought: str = "", tokens: int = 0, **more: Any
) -> Reply:
    """An answer in the shape of the service's own: 12 tokens in, 7 out, beside `tokens` of thinking."""
    parts = ([{"text": thought, "thought": True}] if thought else []) + ([] if text is None else [{"text": text}])
    candidate: dict[str, Any] = {"index": 0, **more}
    if parts or text is not None:
        candidate["content"] = {"role": "model", "parts": parts}
    if finish is not None:
        candidate["finishReason"] = finish
    return sent({"candidates": [candidate], "usageMetadata": _usage(tokens), "modelVersion": MODEL, "responseId": "r"})


def _usage(thoughts: int) -> dict[str, int]:
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 7, "totalTokenCount": 19 + thoughts}
    return usage | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def blocked(reason: str, **more: Any) -> Reply:
    """A blocked prompt: no candidates."""
    usage = {"promptTokenCount": 12, "totalTokenCount": 12}
    return sent({"promptFeedback": {"blockReason": reason, **more}, "usageMetadata": usage, "modelVersion": MODEL})


def error(code: int, message: str, status: str = "INVALID_ARGUMENT", *details: Mapping[str, Any]) -> Reply:
    """An error body of Google's services."""
    inside: dict[str, Any] = {"code": code, "message": message, "status": status}
    return sent({"error": inside | ({"details": list(details)} if details else {})}, code)


class GeminiServer:
    """See the module. `calls` are the requests in order of arrival; `play` may be exchanged while the server runs."""

    def __init__(self, play: Play | Reply | None = None) -> None:
        self.play = play or said()
        self.calls: list[Asked] = []
        self.logins = 0
        self.url = ""
        self._closing = asyncio.Event()
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        content = await request.content.read()
        if request.path == "/revoked":
            return web.json_response(
                {"error": "invalid_grant", "error_description": "Account is disabled."}, status=400
            )
        if request.path == "/token":
            self.logins += 1
            token = {"access_token": "token-of-the-account", "expires_in": 3600, "token_type": "Bearer"}
            return web.json_response(token)
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Asked(path=request.path, headers=headers, body=json.loads(content))
        self.calls.append(call)
        reply = self.play(call) if callable(self.play) else self.play
        if reply.fault == "stall":
            await self._closing.wait()
        if reply.fault and request.transport is not None:
            request.transport.abort()
        kind = {} if "Content-Type" in reply.headers else {"Content-Type": "application/json; charset=UTF-8"}
        return web.Response(status=reply.status, body=reply.body, headers={**reply.headers, **kind})


__all__ = ["ASKED", "FIRST", "KEY", "SECOND", "opened", "served"]
KEY = "AIza-key-of-the-test"  #: what MY_KEY holds


@asynccontextmanager
async def opened(name: str = "gemini-test", **settings: Any) -> AsyncGenerator[Model]:
    [provider] = harness_gemini.harness_models()
    async with provider.open(name, effective(provider.settings, settings, owner="provider gemini")) as model:
        yield model


@asynccontextmanager
async def served(play: Play | Reply | None = None, **settings: Any) -> AsyncGenerator[tuple[Model, GeminiServer]]:
    """A model behind a server that wants the key of MY_KEY."""
    async with GeminiServer(play) as server, opened(base_url=server.url, api_key_env="MY_KEY", **settings) as model:
        yield model, server
