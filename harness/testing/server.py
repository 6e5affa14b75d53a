"""A local server of Chat Completions that plays every fault, for tests of providers, engines and plugins.

    with ChatServer(lambda call: f"{len(call.images)} images") as server:       # or: async with
        …                                                                       # ask server.base_url
        server.play = in_turn(throttled(1), "better now")
        assert server.calls[0].images == (sha256_of_the_file,)

It runs in a thread of its own (`with`) or in the running loop (`async with`), speaks HTTP on 127.0.0.1, and takes every
path that ends in `/chat/completions`. `ImagesServer` does the same for OpenAI's Images API, and
`harness.testing.messages` for Anthropic's Messages. What it plays is a function of the call: a text, or one of the
replies of `harness.testing.faults`. Nothing sleeps longer than asked; a stall or a drip ends when the client leaves or
the server is closed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal, Self

import anyio
import anyio.from_thread
from aiohttp import web

from harness.http.status import as_list, as_mapping
from harness.types import Json

from .faults import Reply, answer, error, image

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
_DRIP_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPart:
    """One part of a message: a text, or the sha256 of an image's file."""

    role: str
    kind: Literal["text", "image"]
    value: str
    detail: str = ""
    data: bytes = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived.

    Attributes:
        path: without the query.
        query: of the address.
        headers: names in lower case.
        model: as asked for.
        parts: all parts of all messages, in order.
        parameters: the rest of the body.
        digest: sha256 of the body; equal for a request that is sent again.
        at: seconds of the monotonic clock when the whole body was there.
    """

    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    model: str = ""
    parts: tuple[SeenPart, ...] = ()
    parameters: Mapping[str, Json] = field(default_factory=dict[str, Json])
    digest: str = ""
    at: float = 0.0

    @property
    def text(self) -> str:
        """The texts of all turns but the system's, one a line."""
        return "\n".join(part.value for part in self.parts if part.kind == "text" and part.role != "system")

    @property
    def system(self) -> str:
        """The system's texts."""
        return "\n".join(part.value for part in self.parts if part.kind == "text" and part.role == "system")

    @property
    def images(self) -> tuple[str, ...]:
        """sha256 of each image's file, in order."""
        return tuple(part.value for part in self.parts if part.kind == "image")

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """Each image's file, in order; only while the answer is made, since the log keeps none."""
        return tuple(part.data for part in self.parts if part.kind == "image")


def image_part(role: str, encoded: str, detail: str) -> SeenPart:
    """An image that arrived as base64. Raises ValueError if it is not base64."""
    data = base64.b64decode(encoded, validate=True)
    return SeenPart(role=role, kind="image", value=hashlib.sha256(data).hexdigest(), detail=detail, data=data)


def read_body(body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
    """Model, parts and parameters of a body. Raises ValueError if it is not a chat request."""
    payload = dict(as_mapping(json.loads(body)))
    if not payload:
        raise ValueError("the body is not a JSON object")
    parts: list[SeenPart] = []
    for turn in map(as_mapping, as_list(payload.pop("messages", None))):
        role, content = str(turn.get("role")), turn.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else map(as_mapping, as_list(content))
        for block in blocks:
            if block.get("type") == "text":
                parts.append(SeenPart(role=role, kind="text", value=str(block.get("text"))))
                continue
            image = as_mapping(block.get("image_url"))
            head, _, encoded = str(image.get("url")).partition(",")
            if not head.startswith("data:image/") or not head.endswith(";base64"):
                raise ValueError(f"part of type {block.get('type')} is not an image as a data URL")
            parts.append(image_part(role, encoded, str(image.get("detail", ""))))
    return str(payload.pop("model", "")), tuple(parts), payload


Play = Callable[[Call], str | Reply]


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
    """A local server of Chat Completions that plays answers and faults, as the module describes.

    Attributes:
        calls: each request in order of arrival, without the images' bytes.
        play: what to answer; may be exchanged while the server runs.
        latency: seconds every answer waits.
        lean: bodies are read and thrown away, so that a benchmark measures the client; calls then hold only the time.

    A server of another API overrides `path`, `read`, `make_answer` and `make_error`.
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
        """Model, parts and parameters of a body. Raises ValueError if it is not a request of this API."""
        return read_body(body)

    def make_answer(self, text: str) -> Reply:
        """An answer of one text."""
        return answer(text)

    def make_error(self, status: int, message: str) -> Reply:
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
        if request.path.endswith(self.path):
            reply = await self._find_reply(request)
            if self.latency:
                await anyio.sleep(self.latency)
            if reply.fault:
                await self._break_off(request, reply)
                return web.Response()
        else:
            await request.content.read()
            reply = self.make_error(404, f"there is no {request.path}")
        headers = {"Content-Type": "application/json"} | dict(reply.headers)
        return web.Response(status=reply.status, body=reply.body, headers=headers)

    async def _find_reply(self, request: web.BaseRequest) -> Reply:
        try:
            call = await self._read_call(request)
        except ValueError as fault:
            return self.make_error(400, str(fault))
        try:
            played = self.play(call) if callable(self.play) else self.play
        except Exception as fault:  # noqa: BLE001  kept and raised when the server is closed
            self._fault = self._fault or fault
            return self.make_error(500, "what the server was to play raised")
        return self.make_answer(played) if isinstance(played, str) else played

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

    async def _break_off(self, request: web.BaseRequest, reply: Reply) -> None:
        wire = request.transport
        if wire is None:
            return
        if reply.fault == "garbage":
            wire.write(b"220 this is another protocol\r\n\r\n")
            wire.close()
        elif reply.fault == "cut":
            wire.write(_HEAD + b"{")
            wire.close()
        else:
            if reply.fault == "drip":  # blanks before the JSON, as gateways send to keep a connection open
                wire.write(_HEAD)
            while reply.fault in ("stall", "drip") and not (self._closing.is_set() or wire.is_closing()):
                if reply.fault == "drip":
                    wire.write(b" ")
                with anyio.move_on_after(_DRIP_SECONDS):
                    await self._closing.wait()
            wire.abort()


class ImagesServer(ChatServer):
    """A server of OpenAI's Images API: the prompt is the text of a call, and a text it plays is the revised prompt."""

    path = "/images/generations"

    def read(self, body: bytes) -> tuple[str, tuple[SeenPart, ...], Mapping[str, Json]]:
        """Model, prompt and parameters of a body."""
        payload = dict(as_mapping(json.loads(body)))
        prompt = payload.pop("prompt", None)
        if not isinstance(prompt, str) or not prompt:
            raise ValueError("Missing required parameter: 'prompt'.")
        return str(payload.pop("model", "")), (SeenPart(role="user", kind="text", value=prompt),), payload

    def make_answer(self, text: str) -> Reply:
        """An image that was drawn from a text."""
        return image(revised=text)
