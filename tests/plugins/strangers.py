"""Local servers that a provider must not trust, and each provider opened for one of them.

async with Server(answer(200, body)) as server, WAYS["openai"](server.url) as ask:
    found = await ask()
    assert server.asked[0].path == "/v1/chat/completions"
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp
from aiohttp import web
from harness_openai.provider import PAINTER

from harness import Drawing, Drawn, Failure, Response
from harness.http import MIB, Reply, address, chat, connect, encode
from harness.settings import effective
from harness.testing.faults import answer, image
from harness.testing.messages import message
from tests.plugins import anthropic_asking, gemini_asking, openai_asking
from tests.plugins.gemini_asking import said

KEY = "secret-key-1234"
Found = Response | Drawn | Failure
Ask = Callable[[], Awaitable[Found]]
Play = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)


class Server:
    """Takes every request; `sent` counts the bytes of bodies that went out."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.asked: list[Asked] = []
        self.sent = 0
        self.url = ""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.content.read()
        self.asked.append(Asked(method=request.method, path=request.path, headers=headers, body=body))
        return await self.play(request)


def replying(status: int, body: bytes, **headers: str) -> Play:
    """One answer, whole; `content_encoding` stands for Content-Encoding."""

    async def play(_: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers={"content-type": "application/json", **named})

    return play


def endless(server: Server, piece: bytes, *, status: int = 200, **headers: str) -> Play:
    """An answer that goes on until nobody reads it any more."""

    async def play(request: web.BaseRequest) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = web.StreamResponse(status=status, headers={"content-type": "application/json", **named})
        await response.prepare(request)
        while True:
            try:
                await response.write(piece)
            except (ConnectionError, aiohttp.ClientError):
                return response
            server.sent += len(piece)

    return play


@asynccontextmanager
async def _openai(url: str, **settings: Any) -> AsyncGenerator[Ask]:
    async with openai_asking.opened(base_url=f"{url}/v1", api_key_env="A_KEY", **settings) as model:
        yield lambda: model.generate(openai_asking.ASKED)


@asynccontextmanager
async def _painter(url: str, **settings: Any) -> AsyncGenerator[Ask]:
    given = {"base_url": f"{url}/v1", "api_key_env": "A_KEY", **settings}
    async with PAINTER.open("tiny", effective(PAINTER.settings, given, owner="painter openai")) as brush:
        yield lambda: brush.draw(Drawing(prompt="a red star", seed=7, width=64, height=64))


@asynccontextmanager
async def _anthropic(url: str, **settings: Any) -> AsyncGenerator[Ask]:
    async with anthropic_asking.opened(base_url=url, api_key_env="A_KEY", **settings) as model:
        yield lambda: model.generate(anthropic_asking.ASKED)


@asynccontextmanager
async def _gemini(url: str, **settings: Any) -> AsyncGenerator[Ask]:
    async with gemini_asking.opened(base_url=url, api_key_env="A_KEY", **settings) as model:
        yield lambda: model.generate(gemini_asking.ASKED)


@asynccontextmanager
async def _connect(url: str, max_reply_mib: float = 64.0) -> AsyncGenerator[Ask]:
    """A provider of an author who uses `harness.http.connect`."""
    async with connect(address(f"{url}/v1", key_env="A_KEY"), limit=int(max_reply_mib * MIB)) as client:

        async def ask() -> Found:
            asked = {"model": "m", "messages": chat.messages(openai_asking.ASKED)}
            reply = await client.post("/chat/completions", encode(asked))
            return chat.answer(reply) if isinstance(reply, Reply) else reply

        yield ask


WAYS: dict[str, Callable[..., AbstractAsyncContextManager[Ask]]] = {
    "openai": _openai,
    "painter": _painter,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "connect": _connect,
}
#: a good answer of each one's server
BODIES = {
    "openai": answer("ok").body,
    "painter": image().body,
    "anthropic": message("ok").body,
    "gemini": said("ok").body,
    "connect": answer("ok").body,
}
assert all(json.loads(body) for body in BODIES.values())
