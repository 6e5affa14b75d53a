"""Helpers for provider authors: an address with its key, a body that splices images in, and one POST.

One call of `Client.post` is one attempt: it gives a Reply or a Failure, and raises HarnessError where nothing will
work. Trying again, slots and back-off are the engine's. `harness.http.chat` has the messages and answers of OpenAI's
form, `harness.http.status` what an error status becomes, `harness.http.scaling` images over a provider's limit.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness import descriptors
from harness.http.addresses import Address
from harness.http.reading import ENCODINGS, REPLY_LIMIT, Unreadable, read
from harness.http.status import Complaint, failure
from harness.types import Failure, ImageContent, Json

if TYPE_CHECKING:
    import aiohttp

_TOKEN = os.urandom(16).hex()  # drawn per process, so that no data set can hold it


@dataclass(frozen=True, slots=True)
class Splice:
    """A string of a JSON body that ends in ASCII bytes which are sent as they stand, never copied or escaped."""

    before: str
    data: bytes = field(repr=False)


def data_url(content: ImageContent) -> Splice:
    """An opened image as a data URL, for `encode`."""
    return Splice(f"data:{content.mime};base64,", content.encoded)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body in pieces: megabytes of images go to the wire without a copy. Can be sent again."""

    pieces: tuple[bytes, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.pieces))

    @property
    def headers(self) -> dict[str, str]:
        """What must be sent with it; without the length some servers refuse a body in pieces."""
        return {"content-type": "application/json", "content-length": str(self.size)}

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def encode(value: Json) -> Body:
    """JSON as a Body; a Splice may stand wherever a string may."""
    spliced: list[bytes] = []

    def place(item: object) -> str:
        if not isinstance(item, Splice):
            raise TypeError(f"{type(item).__name__} is not JSON")
        spliced.append(item.data)
        return item.before + _TOKEN

    texts = (
        json.dumps(value, separators=(",", ":"), allow_nan=False, default=place).encode("ascii").split(_TOKEN.encode())
    )
    return Body(tuple(_zip(texts, spliced)))


def _zip(texts: list[bytes], spliced: list[bytes]) -> Iterator[bytes]:
    for text, data in zip(texts, spliced, strict=False):
        yield text
        yield data
    yield texts[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered with a good status: parsed JSON, and how long it took."""

    payload: Json
    where: Address
    seconds: float = 0.0


def parse(content: bytes, seconds: float, where: Address) -> Reply | Failure:
    """A body as JSON. One that is not is an error worth another try: a proxy's page, or a torn answer."""
    try:
        return Reply(payload=json.loads(content), where=where, seconds=seconds)
    except (ValueError, RecursionError):
        start = where.redact(content[:200].decode("utf-8", "replace"))
        return Failure(outcome="error", reason="not_json", message=f"not JSON: {start}", transient=True)


def unreachable(error: BaseException, where: Address) -> Failure:
    """The Failure for a call that got no answer, or none that can be taken.

    `timeout`, `too_large` or `encoding` as an Unreadable says, and `connection` for all else.

    Raises:
        TooManyOpen: no connection can be made by this machine.
    """
    descriptors.check(error)
    chain = list(_causes(error))
    for cause in chain:
        if isinstance(cause, Unreadable):
            message = where.redact(f"{where.url}: {cause}")
            return Failure(outcome="error", reason=cause.reason, message=message, transient=cause.transient)
    if any(isinstance(cause, TimeoutError) for cause in chain):
        reason, said = "timeout", "no answer in time"
    else:
        reason, said = "connection", next((str(e) for e in reversed(chain) if str(e)), type(error).__name__)
    return Failure(outcome="error", reason=reason, message=where.redact(f"{where.url}: {said}"), transient=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class Client:
    """POSTs JSON to one address; made by `connect`."""

    def __init__(self, where: Address, session: aiohttp.ClientSession, seconds: float, limit: int) -> None:
        self.address = where
        self._session = session
        self._seconds = seconds
        self._limit = limit

    async def post(self, path: str, body: Body) -> Reply | Failure:
        """One attempt. Raises Forbidden for a wrong key or no such model, HarnessError where the quota is gone."""
        import aiohttp
        import anyio

        started = time.perf_counter()
        try:
            with anyio.fail_after(self._seconds):
                async with self._session.post(
                    self.address.url + path, data=body, headers=body.headers, allow_redirects=False
                ) as answer:
                    content = await read(answer.status, answer.headers, answer.content.iter_any(), self._limit)
        except (Unreadable, aiohttp.ClientError, OSError) as error:
            return unreachable(error, self.address)
        if answer.status >= 300:
            return failure(answer.status, answer.headers, Complaint.of(content), self.address)
        return parse(content, time.perf_counter() - started, self.address)


@asynccontextmanager
async def connect(
    where: Address, *, headers: Mapping[str, str] | None = None, seconds: float = 600.0, limit: int = REPLY_LIMIT
) -> AsyncGenerator[Client]:
    """Open a Client.

    Args:
        where: the server.
        headers: sent with each call instead of the usual authorization, such as {"x-api-key": where.key}.
        seconds: what one call may take, from its start to the end of the answer.
        limit: bytes that are taken of one answer, as sent and unpacked.
    """
    import aiohttp

    usual = where.headers if headers is None else headers
    connector = aiohttp.TCPConnector(limit=0)  # how many calls there are at once is the engine's to say
    # the deadline is the whole call's and set around it; aiohttp's own would be another, of five minutes
    forever = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"accept-encoding": ENCODINGS, **usual},
        timeout=forever,
        trust_env=True,
        auto_decompress=False,  # `read` unpacks, and stops in time
    ) as session:
        yield Client(where, session, seconds, limit)
