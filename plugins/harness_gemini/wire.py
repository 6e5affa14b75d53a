"""One POST through the SDK, with a body of our own.

The SDK keeps keys, Google's credentials and the addresses of the service. Its own way of a request costs 9.8 ms of CPU
for two images of 1 MB (google-genai 3.6.1), most of it base64 and JSON; this one costs 1.6 ms. It uses two public
options: the SDK asks through the session it is given, whose middleware puts our bytes in place of the SDK's body and
keeps the answer as it came; and it is told not to read the answer. So no model of the SDK has to fit what the service
says, and redirects, which would take the key elsewhere, are not followed.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import aiohttp
import aiohttp.abc
import aiohttp.payload
import anyio
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.genai import client, types

from harness import Failure, HarnessError
from harness.http import ENCODINGS, Address, Body, Reply, Unreadable, parse, read, unreachable
from harness.http.status import as_mapping

_UNSENT = "-"  # the SDK wants contents; ours take their place
_AS_IT_CAME = types.GenerateContentConfig(should_return_http_response=True)
LOGIN = "gcloud auth application-default login, or export GOOGLE_APPLICATION_CREDENTIALS=FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A status of 300 and more, or an error inside a good one, not yet turned into what it means."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    where: Address


@dataclass(slots=True)
class _Exchange:
    """One call: what goes out, how much of what comes back is taken, and what came."""

    body: Body
    limit: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None


_RUNNING: ContextVar[_Exchange] = ContextVar("the call that runs in this task")


class _Redirected(Exception):
    """The service sends elsewhere."""


class _Pieces(aiohttp.payload.Payload):
    """A Body as aiohttp wants it."""

    def __init__(self, body: Body) -> None:
        super().__init__(body, content_type="application/json")
        self._body = body

    @property
    def size(self) -> int:
        return self._body.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return bytes(self._body).decode(encoding, errors)

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        for piece in self._body.pieces:
            await writer.write(piece)


async def _exchange(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    running = _RUNNING.get()
    if running.content is not None:
        raise _Redirected
    await request.update_body(_Pieces(running.body))
    request.headers["accept-encoding"] = ENCODINGS
    response = await handler(request)
    running.status, running.headers = response.status, response.headers
    try:
        running.content = await read(response.status, response.headers, response.content.iter_any(), running.limit)
    finally:
        if not response.content.at_eof():
            response.close()  # the SDK would read the rest, however much it is
    return response


@asynccontextmanager
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    """What the SDK is given to ask through."""
    connector = aiohttp.TCPConnector(limit=0)  # how many calls there are at once is the engine's to say
    async with aiohttp.ClientSession(
        connector=connector,
        middlewares=(_exchange,),
        trust_env=True,
        auto_decompress=False,  # `read` unpacks, and stops in time
    ) as opened:
        yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An open client and the model it asks.

    Attributes:
        address: of the service, for messages and slots.
        vertex: asked at Vertex AI.
        seconds: what one call may take.
        limit: bytes that are taken of one answer.
    """

    address: Address
    vertex: bool
    model: str
    client: client.Client = field(repr=False)
    seconds: float
    limit: int

    async def post(self, body: Body) -> Reply | Rejected | Failure:
        """One attempt. Raises HarnessError where Google's credentials are not accepted."""
        started, running = time.perf_counter(), _Exchange(body, self.limit)
        token = _RUNNING.set(running)
        try:
            with anyio.fail_after(self.seconds):
                await self.client.aio.models.generate_content(model=self.model, contents=_UNSENT, config=_AS_IT_CAME)
        except RefreshError as error:
            what = f"Google Cloud credentials are not accepted: {self.address.redact(str(error))}"
            raise HarnessError(what, where=self.address.url, remedy=LOGIN) from error
        except Exception as error:
            # what the SDK makes of an answer that came does not matter, whatever it raises
            if running.content is None:
                if isinstance(error, Unreadable | aiohttp.ClientError | OSError | GoogleAuthError):
                    return unreachable(error, self.address)
                raise
        finally:
            _RUNNING.reset(token)
        return self._came(running, time.perf_counter() - started)

    def _came(self, running: _Exchange, seconds: float) -> Reply | Rejected | Failure:
        if running.content is None:
            raise HarnessError(
                "this version of google-genai does not ask through the session it is given",
                remedy='pip install "google-genai>=3.6"',
            )
        status, content = running.status, running.content
        if status < 300:
            reply = parse(content, seconds, self.address)
            error = isinstance(reply, Reply) and as_mapping(as_mapping(reply.payload).get("error"))
            if not error:
                return reply
            status = error["code"] if isinstance(error.get("code"), int) else 500
        return Rejected(status=status, headers=running.headers, content=content, where=self.address)
