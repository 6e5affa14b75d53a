"""A local server of Chat Completions that plays every fault, for tests of providers, engines and plugins.

    with ChatServer(lambda call: f"{len(call.images)} images") as server:       # or: async with
        …                                                                       # ask server.base_url
        server.play = in_turn(throttled(1), "better now")
        assert server.calls[0].images == (sha256_of_the_file,)

It runs in a thread of its own (`with`) or in the running loop (`async with`), speaks HTTP on 127.0.0.1, and takes every
path that ends in `/chat/completions`; `harness.testing.messages` has one for Anthropic's Messages. What it plays is a
function of the call: a text, or one of the replies of `harness.testing.faults`. Nothing sleeps longer than asked; a
stall or a drip ends when the server is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

import anyio
import anyio.from_thread
from aiohttp import web

from harness.types import Json

from .calls import Call, SeenPart, read_body
from .faults import Reply, answer, error

Play = Callable[[Call], str | Reply]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
_DRIP_SECONDS = 0.05


def in_turn(*replies: str | Reply) -> Play:
    """One reply after the other; the last is repeated."""
    waiting = list(replies)
    return lambda _call: waiting.pop(0) if len(waiting) > 1 else waiting[0]


def once(first: Reply, then: Play) -> Play:
    """`first` when a request comes for the first time, `then` when it is sent again."""
    seen: set[str] = set()

    def play(call: Call) -> str | Reply:
        known = call.digest in seen
        seen.add(call.digest)
        return then(call) if known else first

    return play


class ChatServer:
    """See the module.

    Attributes:
        calls: each request in order of arrival, without the images' bytes.
        play: what to answer; may be exchanged while the server runs.
        latency: seconds every answer waits.
        lean: bodies are read and thrown away, so that a benchmark measures the client; calls then hold only the time.

    A server of another API overrides `path`, `read`, `said` and `refused`.
    """

    path = "/chat/completions"  #: how the paths end that it takes

    def __init__(self, play: Play | str | Reply = "ok", *, latency: float = 0.0, lean: bool = False) -> None:
        self.calls: list[Call] = []
        self.play = play
        self.latency = latency
        self.lean = lean
        self._port = 0
        self._closing = anyio.Event()
        self._fault: Exception | None = None
        self._thread = ExitStack()
        self._here = AsyncExitStack()

    @property
    def base_url(self) -> str:
        """For `-M base_url=`; the server must be open."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        portal = self._thread.enter_context(anyio.from_thread.start_blocking_portal())
        self._thread.enter_context(portal.wrap_async_context_manager(self._serving()))
        return self

    def __exit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        self._thread.close()
        self._raise_fault(kind)

    async def __aenter__(self) -> Self:
        await self._here.enter_async_context(self._serving())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _value: object, _trace: TracebackType | None) -> None:
        await self._here.aclose()
        self._raise_fault(kind)

    def read(self, body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
        """Model, parts and parameters of a body. Raises ValueError where it is not a request of this API."""
        return read_body(body)

    def said(self, text: str) -> Reply:
        """An answer of one text."""
        return answer(text)

    def refused(self, status: int, message: str) -> Reply:
        """An error."""
        return error(status, message)

    def _raise_fault(self, kind: type[BaseException] | None) -> None:
        """Raise what `play` raised: it must not look like a fault of the server that the test asked for."""
        if self._fault is not None and kind is None:
            raise RuntimeError("what the server was to play raised") from self._fault

    @asynccontextmanager
    async def _serving(self) -> AsyncGenerator[None]:
        self._closing = anyio.Event()
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._port = runner.addresses[0][1]
            yield
        finally:
            self._closing.set()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.path.endswith(self.path):
            await request.content.read()
            return _make_response(self.refused(404, f"there is no {request.path}"))
        reply = await self._find_reply(request)
        if self.latency:
            await anyio.sleep(self.latency)
        return await self._break_off(request, reply) if reply.fault else _make_response(reply)

    async def _find_reply(self, request: web.BaseRequest) -> Reply:
        try:
            call = await self._read_call(request)
        except ValueError as fault:
            return self.refused(400, str(fault))
        try:
            played = self.play(call) if callable(self.play) else self.play
        except Exception as fault:  # noqa: BLE001  kept and raised when the server is closed
            self._fault = self._fault or fault
            return self.refused(500, "what the server was to play raised")
        return self.said(played) if isinstance(played, str) else played

    async def _read_call(self, request: web.BaseRequest) -> Call:
        if self.lean:
            async for _chunk in request.content.iter_any():
                pass
            call = Call(path=request.path, at=time.monotonic())
            self.calls.append(call)
            return call
        body = await request.content.read()
        at = time.monotonic()
        model, parts, parameters = self.read(body)
        call = Call(
            path=request.path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            model=model,
            parts=parts,
            parameters=parameters,
            digest=hashlib.sha256(body).hexdigest(),
            at=at,
        )
        self.calls.append(replace(call, parts=tuple(replace(part, data=b"") for part in parts)))
        return call

    async def _break_off(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        wire = request.transport
        if reply.fault == "stall":
            await self._closing.wait()
        if wire is None or reply.fault in ("drop", "stall"):
            _abort(wire)
        elif reply.fault == "garbage":
            wire.write(b"220 this is another protocol\r\n\r\n")
            wire.close()
        elif reply.fault == "cut":
            wire.write(_HEAD + b"{")
            wire.close()
        else:
            await self._drip(wire)
        return web.Response()

    async def _drip(self, wire: asyncio.Transport) -> None:
        """Blanks before the JSON, as gateways send to keep a connection open."""
        wire.write(_HEAD)
        while not (self._closing.is_set() or wire.is_closing()):
            wire.write(b" ")
            with anyio.move_on_after(_DRIP_SECONDS):
                await self._closing.wait()
        _abort(wire)


def _abort(wire: asyncio.Transport | None) -> None:
    if wire is not None:
        wire.abort()


def _make_response(reply: Reply) -> web.Response:
    headers = {"Content-Type": "application/json"} | dict(reply.headers)
    return web.Response(status=reply.status, body=reply.body, headers=headers)
