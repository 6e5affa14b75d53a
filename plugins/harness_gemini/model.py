"""One model behind `generateContent`: takes a request, returns an answer or a failure.

The SDK reads a dozen environment variables. A variable that changes the server or service must be given as a setting,
since it is part of the model's identity. The others are passed explicitly, so that the SDK does not read them.

The SDK handles keys, Google's credentials and addresses. Its own request code costs 9.8 ms of CPU for two images of
1 MB (google-genai 3.6.1), mostly base64 and JSON; this module's costs 1.6 ms. It uses two public options of the SDK.
The session we pass has a middleware that replaces the SDK's body with our bytes and keeps the raw answer. Another
option stops the SDK from parsing the answer. So an answer need not fit the SDK's types, and redirects, which would take
the key elsewhere, are not followed.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp.abc
import aiohttp.payload
import anyio
import anyio.to_thread
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.genai import client, types

from harness import Failure, HarnessError, Image, Json, ModelInfo, Request, Response, Settings
from harness.contracts import Ability
from harness.http import ENCODINGS, MIB, Address, Body, Reply, Unreadable, address, encode, parse, read, unreachable
from harness.http.batching import find_call
from harness.http.scaling import fit
from harness.http.settings import check_server_variable, is_host_of
from harness.http.status import as_mapping

from .batches import MANAGED, GeminiBatches
from .messages import (
    LOGIN,
    Dialect,
    GoogleError,
    Rejected,
    build_config,
    error_outcome,
    image_limit,
    read_answer,
    refuses,
    safety_settings,
    turns,
)

_auth: Any = importlib.import_module("google.auth")  # partly untyped for a strict checker
_VENDOR = "https://generativelanguage.googleapis.com"
_VERTEX = "https://aiplatform.googleapis.com"
_VERSIONS = {False: "v1beta", True: "v1beta1"}  # the SDK's own choice for the Gemini API, v1, knows fewer settings
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")  # in the SDK's and Google's order
_NO_KEY = "none"  # the SDK requires a key; gateways without keys ignore it
_MODES = ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE")
_UNSENT = "-"  # the SDK requires contents; ours replace them
_AS_IT_CAME = types.GenerateContentConfig(should_return_http_response=True)
_REFUSAL = 400
_SYSTEM = re.compile(r"(developer|system).?instruction.{0,40}not (enabled|supported)", re.IGNORECASE)
_IMAGES = re.compile(r"image input modality is not (enabled|supported)", re.IGNORECASE)
_THRESHOLD = re.compile(r"HarmBlockThreshold|safety_?settings.{0,60}threshold", re.IGNORECASE)
_SPENT = (
    "thinking took all of max_tokens for at least one answer: give it extra tokens with -M thinking_budget=N, or "
    "raise --max-tokens"
)


@dataclass(slots=True)
class _Exchange:
    """One call: the body to send, the most bytes to read, and the answer."""

    body: Body
    limit: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None


_RUNNING: ContextVar[_Exchange] = ContextVar("the call that runs in this task")


class _Redirected(Exception):
    """The service redirects."""


class _Pieces(aiohttp.payload.Payload):
    """A Body as an aiohttp payload."""

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
    running = _RUNNING.get(None)
    if running is None:
        # a call of the SDK's own, about files and batches: it may go to one host only, so a redirect gets no key
        if not is_host_of(str(request.url), MANAGED.get() or ""):
            raise aiohttp.ClientConnectionError(f"the service redirects to {request.url.host}")
        request.headers["accept-encoding"] = "identity"  # the session unpacks nothing
        return await handler(request)
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
            response.close()  # the SDK would read the rest, of any size
    return response


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An open client and the model it asks.

    Attributes:
        address: the service's address, for messages and slots.
        vertex: whether it uses Vertex AI.
        seconds: timeout of one call.
        limit: most bytes read of one answer.
    """

    address: Address
    vertex: bool
    model: str
    client: client.Client = field(repr=False)
    seconds: float
    limit: int

    async def post(self, body: Body) -> Reply | Rejected | Failure:
        """One attempt. Raises HarnessError if Google's credentials are not accepted.

        A call that is asked in a batch takes its answer there (`harness.http.batching`).
        """
        if (batched := find_call()) is not None:
            found = await batched.take(body)
            return self._read(found.status, {}, found.body, 0.0)
        started, running = time.perf_counter(), _Exchange(body, self.limit)
        token = _RUNNING.set(running)
        try:
            with anyio.fail_after(self.seconds):
                await self.client.aio.models.generate_content(model=self.model, contents=_UNSENT, config=_AS_IT_CAME)
        except RefreshError as error:
            what = f"Google Cloud credentials are not accepted: {self.address.redact(str(error))}"
            raise HarnessError(what, where=self.address.url, remedy=LOGIN) from error
        except Exception as error:
            # once an answer has arrived, errors that the SDK raises do not matter
            if running.content is None:
                if isinstance(error, Unreadable | aiohttp.ClientError | OSError | GoogleAuthError):
                    return unreachable(error, self.address)
                raise
        finally:
            _RUNNING.reset(token)
        if running.content is None:
            raise HarnessError(
                "this version of google-genai ignores the session that it is given",
                remedy='pip install "google-genai>=3.6"',
            )
        return self._read(running.status, running.headers, running.content, time.perf_counter() - started)

    def _read(
        self, status: int, headers: Mapping[str, str], content: bytes, seconds: float
    ) -> Reply | Rejected | Failure:
        if status < 300:
            reply = parse(content, seconds, self.address)
            inside = isinstance(reply, Reply) and as_mapping(as_mapping(reply.payload).get("error"))
            if not inside:
                return reply
            status = inside["code"] if isinstance(inside.get("code"), int) else 500
        return Rejected(status=status, headers=headers, content=content, where=self.address)


@asynccontextmanager
async def connect(name: str, settings: Settings) -> AsyncGenerator[Connection]:
    """Open the client the settings ask for.

    Raises HarnessError if they do not fit together or with the environment, or a key or credentials are missing.
    """
    given = [bool(settings[key]) for key in ("vertex_project", "vertex_location")]
    vertex = all(given)
    if any(given) and not vertex:
        raise HarnessError("Vertex AI needs both -M vertex_project=… and -M vertex_location=…", remedy="give both")
    if vertex and settings["api_key_env"]:
        raise HarnessError("Vertex AI needs Google Cloud credentials, not a key", remedy="leave -M api_key_env out")
    _check_environment(settings, vertex=vertex)
    if any(part in name for part in ("..", "?", "&", "#", "%", " ")):
        raise HarnessError(f"{name!r} is not a model name", remedy="write one such as gemini/gemini-2.5-flash")
    where = _find_address(settings, vertex=vertex)
    credentials: Any = None
    if vertex:
        try:
            credentials, _ = await anyio.to_thread.run_sync(functools.partial(_auth.default, scopes=[_SCOPE]))
        except GoogleAuthError as error:
            raise HarnessError(f"there are no Google Cloud credentials: {error}", remedy=LOGIN) from error
    async with aiohttp.ClientSession(  # the SDK uses it
        connector=aiohttp.TCPConnector(limit=0),  # the engine limits concurrent calls
        middlewares=(_exchange,),
        trust_env=True,
        auto_decompress=False,  # `read` unpacks, and stops in time
    ) as session:
        options = types.HttpOptions(
            base_url=settings["base_url"] or (None if vertex else _VENDOR),
            api_version=settings["api_version"] or _VERSIONS[vertex],
            retry_options=types.HttpRetryOptions(attempts=1),  # also turns off the SDK's default retry
            aiohttp_client=session,
        )
        opened = client.Client(
            vertexai=vertex,
            api_key=None if vertex else where.key or _NO_KEY,
            credentials=credentials,
            project=settings["vertex_project"] or None,
            location=settings["vertex_location"] or None,
            debug_config=client.DebugConfig(client_mode=None, replays_directory=None, replay_id=None),
            http_options=options,
        )
        try:
            yield Connection(
                address=where,
                vertex=vertex,
                model=name,
                client=opened,
                seconds=settings["timeout"],
                limit=int(settings["max_reply_mib"] * MIB),
            )
        finally:
            await opened.aio.aclose()
            opened.close()


def _check_environment(settings: Settings, *, vertex: bool) -> None:
    for name in _MODES:
        if not vertex and os.environ.get(name, "").lower() in ("true", "1"):
            raise HarnessError(
                f"{name} is set; the service is part of the model's identity and must be a setting",
                remedy="add -M vertex_project=… -M vertex_location=…, or unset the variable to ask the Gemini API",
            )
    if not settings["base_url"]:
        check_server_variable("GOOGLE_VERTEX_BASE_URL" if vertex else "GOOGLE_GEMINI_BASE_URL", vendor="Google")


def _find_address(settings: Settings, *, vertex: bool) -> Address:
    if vertex:  # for messages: the SDK knows which server serves a location
        base = address(settings["base_url"] or _VERTEX)
        place = f"projects/{settings['vertex_project']}/locations/{settings['vertex_location']}"
        return replace(base, url=f"{base.url}/{place}")
    # A key in the environment goes only to its own server: Google's is not sent to any other base_url.
    url = settings["base_url"] or _VENDOR
    usual = ""
    if is_host_of(url, "googleapis.com"):
        usual = next((name for name in _KEYS if os.environ.get(name)), "GEMINI_API_KEY")
    return address(url, key_env=settings["api_key_env"] or usual)


@asynccontextmanager
async def open_model(name: str, settings: Settings) -> AsyncGenerator[GeminiModel]:
    """Connect a model. Raises HarnessError if the settings do not fit together or a key is missing."""
    parameters = build_config(settings)
    async with connect(name, settings) as connection:
        yield GeminiModel(name, settings, parameters, connection)


class GeminiModel:
    """A Model; while it is open, it remembers the parameters that its model has refused.

    Attributes:
        batches: its batch side.
    """

    def __init__(self, name: str, settings: Settings, parameters: dict[str, Json], connection: Connection) -> None:
        host = urlsplit(connection.address.url).hostname or ""
        self.batches = GeminiBatches(
            connection.client,
            model=name,
            address=connection.address,
            host="googleapis.com" if is_host_of(connection.address.url, "googleapis.com") else host,
            seconds=connection.seconds,
        )
        self._name = name
        self._settings = settings
        self._fixed = parameters
        self._connection = connection
        self._dialect = Dialect(room=max(0, settings["thinking_budget"] or 0))
        self._spent = False

    @property
    def info(self) -> ModelInfo:
        """The model, and the parameters it has refused so far."""
        can: dict[Ability, bool] = {
            "images": self._settings["max_images"] != 0,
            "system": True,
            "schema": self._dialect.schema,
        }
        names = ", ".join(name.removeprefix("HARM_CATEGORY_").lower() for name in self._dialect.categories)
        filters = f"safety filters: {self._settings['safety']} is sent for {names}"
        if self._settings["safety"] == "default":
            filters = "safety filters: the product's own, no threshold is sent"
        return ModelInfo(
            ref=f"gemini/{self._name}",
            endpoint=self._connection.address.id,
            max_images=self._settings["max_images"],
            can=frozenset(ability for ability, there in can.items() if there),
            dropped=self._dialect.dropped,
            thinking_tokens=self._dialect.room,
            notes=(filters, *((_SPENT,) if self._spent else ())),
        )

    async def generate(self, request: Request) -> Response | Failure:
        """Answer once. If the model refuses a parameter, the request is sent again at once without it."""
        what = ""
        system = [message for message in request.messages if message.role == "system"]
        if request.raw or request.choices or request.prefill:
            what = "generateContent has no raw prompts, choices or prefill"
        elif any(isinstance(part, Image) for message in system for part in message.content):
            what = "a system message of generateContent holds no images"
        if what:
            return Failure(outcome="error", reason="unsupported_request", message=what)
        limit = image_limit(request, self._settings, vertex=self._connection.vertex)
        fitted = await fit(request, limit, resize=self._settings["resize"])
        if isinstance(fitted, Failure):
            return fitted
        reply = await self._ask(fitted.request)
        if isinstance(reply, Failure):
            return reply
        found = read_answer(reply, fitted.notes)
        if isinstance(found, Response) and not found.text and found.usage.reasoning_tokens and found.flags:
            self._spent = True
        return found

    async def _ask(self, request: Request) -> Reply | Failure:
        asked = turns(request)
        while True:
            dialect = self._dialect
            config = {**dialect.parameters(request), **self._fixed}
            filters = safety_settings(self._settings, dialect.categories)
            body = encode({**asked, **filters, **({"generationConfig": config} if config else {})})
            got = await self._connection.post(body)
            if not isinstance(got, Rejected):
                return got
            error = GoogleError.of(got)
            if got.status == _REFUSAL:
                self._learn(got, error.message, dialect, request)
            if got.status != _REFUSAL or self._dialect == dialect:
                return error_outcome(got, error)

    def _learn(self, got: Rejected, message: str, dialect: Dialect, request: Request) -> None:
        """Learn from a refusal; raises HarnessError if it refuses a setting of the user's."""
        thinks = "thinkingConfig" in self._fixed and "think" in message.lower()
        strict = self._settings["safety"] != "default" and _THRESHOLD.search(message) is not None
        # the service names both penalties alike
        named = [name for name in self._fixed if refuses(message, "penalty" if name.endswith("Penalty") else name)]
        checks = {
            ("a system message", "ask without --system, or another model"): _SYSTEM.search(message) is not None,
            ("images", "give -M max_images=0 for a model without vision"): _IMAGES.search(message) is not None,
            ("the thinking settings", "change or leave out the -M settings of thinking"): thinks,
            ("this threshold of the filters", "give another -M safety=…"): strict,
            (", ".join(named), "leave it out of the -M settings"): bool(named),
        }
        for (refused, remedy), holds in checks.items():
            if holds:
                raise HarnessError(f"the model refuses {refused}: {message}", where=got.where.url, remedy=remedy)
        if dialect.after_refusal(message, request) != dialect:
            # not from `dialect`: concurrent calls may have learnt something else
            self._dialect = self._dialect.after_refusal(message, request)
