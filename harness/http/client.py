"""A JSON body that carries images uncopied, and one POST of it.

A call of `Client.post`, or of `SdkConnection.post` for providers with an SDK of their own, is one attempt. It gives a
Reply or a Failure, and raises HarnessError if no request can work. Retries, slots and back-off belong to the engine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from harness import descriptors
from harness.http.batching import CallFailed, find_call
from harness.http.reading import ENCODINGS, MIB, REPLY_LIMIT, Guarded, Unreadable, read
from harness.http.settings import Address
from harness.http.status import ApiError, Rejected, failure
from harness.types import Failure, ImageContent, Json, Settings

if TYPE_CHECKING:
    import ssl

    import aiohttp

_T = TypeVar("_T")
_CONNECT_SECONDS = 30.0
_TOKEN = os.urandom(16).hex()  # random per process, so that no data set can contain it


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """A string in a JSON body whose last part is ASCII bytes. They are sent without a copy and without escapes."""

    before: str
    data: bytes = field(repr=False)


Splice = ImageBytes  #: former name of ImageBytes, for older plugins


def data_url(content: ImageContent) -> ImageBytes:
    """An opened image as a data URL, for `encode`."""
    return ImageBytes(f"data:{content.mime};base64,", content.encoded)


@dataclass(frozen=True, slots=True)
class Body:
    """A request body in pieces: large images are sent without a copy. It can be sent again."""

    pieces: tuple[bytes, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(map(len, self.pieces))

    @property
    def headers(self) -> dict[str, str]:
        """Headers to send with it; without the length some servers refuse a body in pieces."""
        return {"content-type": "application/json", "content-length": str(self.size)}

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def encode(value: Json) -> Body:
    """Encode JSON as a Body; an ImageBytes may stand in place of a string."""
    images: list[bytes] = []

    def place(item: object) -> str:
        if not isinstance(item, ImageBytes):
            raise TypeError(f"{type(item).__name__} is not JSON")
        images.append(item.data)
        return item.before + _TOKEN

    text = json.dumps(value, separators=(",", ":"), allow_nan=False, default=place).encode("ascii")
    first, *others = text.split(_TOKEN.encode())
    pieces = [first]
    for image, other in zip(images, others, strict=True):
        pieces += (image, other)
    return Body(tuple(pieces))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A server's successful answer: parsed JSON, and the seconds it took."""

    payload: Json
    where: Address
    seconds: float = 0.0


def parse(content: bytes, seconds: float, where: Address) -> Reply | Failure:
    """Parse a body as JSON. For other bodies, such as a proxy's page or a cut answer, another try may help."""
    try:
        return Reply(payload=json.loads(content), where=where, seconds=seconds)
    except (ValueError, RecursionError):
        start = where.redact(content[:200].decode("utf-8", "replace"))
        return Failure(outcome="error", reason="not_json", message=f"not JSON: {start}", transient=True)


def unreachable(error: BaseException, where: Address) -> Failure:
    """The Failure for a call that got no answer, or none that can be read.

    Its reason is `timeout`, or `too_large` or `encoding` from an Unreadable, and `connection` for all else.

    Raises:
        TooManyOpen: this machine can make no connection.
    """
    descriptors.check(error)
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(below)
    for cause in chain:
        if isinstance(cause, Unreadable):
            message = where.redact(f"{where.url}: {cause}")
            return Failure(outcome="error", reason=cause.reason, message=message, transient=cause.transient)
    if any(isinstance(cause, TimeoutError) for cause in chain):
        reason, said = "timeout", "no answer in time"
    else:
        reason, said = "connection", next((str(e) for e in reversed(chain) if str(e)), type(error).__name__)
    return Failure(outcome="error", reason=reason, message=where.redact(f"{where.url}: {said}"), transient=True)


class Client:
    """POSTs JSON to one address; made by `connect`."""

    def __init__(
        self,
        where: Address,
        session: aiohttp.ClientSession,
        seconds: float,
        limit: int,
        read_error: Callable[[Json], ApiError] | None = None,
    ) -> None:
        self.address = where
        self._session = session
        self._seconds = seconds
        self._limit = limit
        self._read_error = read_error

    async def post(self, path: str, body: Body) -> Reply | Failure:
        """Make one attempt. Raises Forbidden for a wrong key or unknown model, HarnessError if the quota is used up."""
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
            return failure(answer.status, answer.headers, self._describe(content), self.address)
        return parse(content, time.perf_counter() - started, self.address)

    def _describe(self, content: bytes) -> ApiError:
        """What an error body says; a body that `read_error` cannot read, such as a proxy's page, is read as usual."""
        if self._read_error is not None:
            try:
                return self._read_error(json.loads(content))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                pass
        return ApiError.of(content)


@asynccontextmanager
async def connect(
    where: Address,
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 600.0,
    limit: int = REPLY_LIMIT,
    read_error: Callable[[Json], ApiError] | None = None,
) -> AsyncGenerator[Client]:
    """Open a Client.

    Args:
        where: the server.
        headers: sent with each call instead of the usual authorization, such as {"x-api-key": where.key}.
        seconds: time limit of one call, from its start to the end of the answer.
        limit: most bytes to read of one answer, both as sent and unpacked.
        read_error: reads the parsed error body of a server whose errors have their own form. If it raises ValueError,
            LookupError, TypeError or AttributeError, the body is read in the usual forms (`ApiError.of`).
    """
    import aiohttp

    usual = where.headers if headers is None else headers
    connector = aiohttp.TCPConnector(limit=0)  # the engine decides how many calls there are at once
    # the deadline is the whole call's and set around it; aiohttp's own would be another, of five minutes
    forever = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"accept-encoding": ENCODINGS, **usual},
        timeout=forever,
        trust_env=True,
        auto_decompress=False,  # `read` unpacks, and stops in time
    ) as session:
        yield Client(where, session, seconds, limit, read_error)


def sdk_options(sdk: Any, settings: Settings) -> dict[str, Any]:
    """How a vendor's SDK is opened: one attempt for each call, no redirects, and no more read than the limit.

    Args:
        sdk: the module, with the HTTP client that it comes with.
        settings: of the provider, with `timeout` and `max_reply_mib`.
    """
    seconds = settings["timeout"]
    http = type("Http", (Guarded, sdk.DefaultAioHttpClient), {})
    return {
        "timeout": sdk.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
        "max_retries": 0,
        "http_client": http(
            reply_limit=int(settings["max_reply_mib"] * MIB),
            verify=_load_certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        ),
    }


@lru_cache(maxsize=4)
def _load_certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """What connections are verified with, as httpx loads it by these variables; that takes it 15 ms a client."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkConnection:
    """An open client of a vendor's SDK (`openai`, `anthropic`), and what is known about its server.

    The SDK handles authorization, addresses and its error types. The harness sends the body in pieces and reads the
    answer as bytes, since with images most of the SDK's time goes into its own JSON and models.

    Attributes:
        address: the server's address.
        client: the SDK's open client; its HTTP client is Guarded.
        sdk: the SDK's module, with its error classes.
        official: whether the server is the vendor's, not a compatible one.
        seconds: most seconds for one call.
        headers: replace the SDK's headers in each call.
    """

    address: Address
    client: Any = field(repr=False)
    sdk: Any = field(repr=False)
    official: bool
    seconds: float
    headers: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    async def post(self, path: str, body: Body) -> Reply | Rejected | Failure:
        """Make one attempt. A Rejected is not yet a Failure: it may show the provider which parameters it takes.

        A call that was sent in a batch takes its answer from there (`harness.http.batching`).
        """
        import aiohttp
        import anyio

        if (batched := find_call()) is not None:
            found = await batched.take(body)
            if found.status >= 300:
                said = ApiError.of(found.body)
                return Rejected(status=found.status, headers={}, error=said, where=self.address)
            return parse(found.body, 0.0, self.address)
        started = time.perf_counter()
        try:
            with anyio.fail_after(self.seconds):
                content: bytes = await self.client.post(
                    path, cast_to=bytes, content=body, options={"headers": {**self.headers, **body.headers}}
                )
        except self.sdk.APIStatusError as error:
            answer: Any = error.response
            said = ApiError.of(answer.content)
            return Rejected(status=error.status_code, headers=answer.headers, error=said, where=self.address)
        except (Unreadable, self.sdk.APIConnectionError, aiohttp.ClientError, OSError) as error:
            return unreachable(error, self.address)
        return parse(content, time.perf_counter() - started, self.address)

    async def manage(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make one call of the SDK about files or batches.

        Raises:
            CallFailed: another try may help.
            HarnessError: no other try will help; Forbidden if the file or batch does not exist.
        """
        import aiohttp
        import anyio

        try:
            with anyio.fail_after(self.seconds):
                return await call()
        except self.sdk.APIStatusError as error:
            answer: Any = error.response
            said = ApiError.of(answer.content)
            raise CallFailed(failure(error.status_code, answer.headers, said, self.address)) from error
        except (Unreadable, self.sdk.APIConnectionError, aiohttp.ClientError, OSError) as error:
            raise CallFailed(unreachable(error, self.address)) from error
        except (ValueError, self.sdk.APIError) as error:  # the answer is not what the SDK reads
            what = self.address.redact(str(error))
            raise CallFailed(Failure(outcome="error", reason="wrong_shape", message=what, transient=True)) from error
