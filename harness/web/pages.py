"""Local pages for people: an ASGI application behind a token that a browser keeps as a cookie. Extra `serve`.

    app = page_app([Route("/", page), *assets("my_package", "web")], token=new_token())
    async with serving(app) as served:
        print(first_url(served, token))

The first address carries the token. It is exchanged for a cookie that scripts cannot read and that no other site's
requests carry, and the browser is redirected to the same address without it.

Refused before the page is asked are: another name than this machine's in `Host` (another site's name may resolve to
127.0.0.1), a caller without the cookie, a request that another site's page sent, and a change (POST and the like) that
does not say it comes from here. Every reply is kept in no cache, loads nothing from elsewhere and stands in no frame.
"""

from __future__ import annotations

import hashlib
import hmac
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

import anyio

from harness.errors import unwrap_groups
from harness.extras import require
from harness.web.serving import Served, serving

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: types of package data that a page may load; a file of any other is not served
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHARED: Final = "harness.web.page"  #: the style and the scripts that local pages share
#: what a page may load; `data:` and `blob:` are pictures that it made itself
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_COMPRESSED: Final = 1024  # bytes from which a reply is worth compressing
_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN_SITES: Final = frozenset({"same-origin", "none"})  # of `Sec-Fetch-Site`: from the page, or typed by the user
_OPEN_ADDRESS: Final = "open the address that the command printed: it holds the token of this start"


def page_app(routes: Sequence[BaseRoute], *, token: str) -> ASGIApp:
    """The application of these routes, for a browser that has opened the first address.

    Args:
        routes: of Starlette; one that changes something takes POST, which only the page itself may send.
        token: of this start, see `new_token`.

    Raises:
        HarnessError: the extra `serve` is missing.
        ValueError: the token is empty.
    """
    with require("serve", by="a local page"):
        from starlette.applications import Starlette
        from starlette.middleware.gzip import GZipMiddleware
    return TokenGuard(GZipMiddleware(Starlette(routes=routes), minimum_size=_COMPRESSED, compresslevel=1), token)


def assets(package: str, folder: str, path: str = "/assets") -> Iterator[Route]:
    """A route for each file of a package's folder whose type pages may load; nothing else can be reached."""
    from starlette.responses import Response
    from starlette.routing import Route

    def sender(data: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
        async def send(_: Request) -> Response:
            return Response(data, headers={"content-type": kind})

        return send

    for file in resources.files(package).joinpath(folder).iterdir():
        kind = TYPES.get(PurePosixPath(file.name).suffix)
        if kind is not None:
            yield Route(f"{path}/{file.name}", sender(file.read_bytes(), kind), name=file.name)


def page_assets(package: str, folder: str, path: str = "/assets") -> Iterator[Route]:
    """The routes of a page's own files, and of those that all local pages share."""
    yield from assets(package, folder, path)
    yield from assets("harness.web", "page", path)


def first_url(served: Served, token: str, path: str = "/") -> str:
    """The address to open once: it holds the token."""
    return f"{served.url}{path}?{urlencode({'token': token})}"


def serve_page(
    app: ASGIApp,
    token: str,
    *,
    port: int,
    ready: Callable[[str], None],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    until: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Serve a page until SIGINT or SIGTERM.

    Args:
        app: see `page_app`.
        token: the application's.
        port: 0 for any free one.
        ready: is called with the address to open, which holds the token.
        beside: coroutine functions that run as long as the page is served.
        until: the page also ends when this returns; calls in flight are answered.

    Raises:
        HarnessError: the port cannot be listened on, or the extra `serve` is missing.
    """

    async def serve() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, unwrap_groups():
            async with anyio.create_task_group() as tasks:

                async def end() -> None:
                    async for _ in signals:
                        tasks.cancel_scope.cancel()

                async def finish(ended: Callable[[], Awaitable[object]]) -> None:
                    await ended()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(end)
                if until is not None:
                    tasks.start_soon(finish, until)
                async with serving(app, port=port) as served:
                    ready(first_url(served, token))
                    for run in beside:
                        tasks.start_soon(run)
                    await anyio.sleep_forever()

    anyio.run(serve)


class TokenGuard:
    """An ASGI application in front of another one, which only the holder of the token reaches."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        if not token:
            raise ValueError("an empty token guards nothing")
        self._app = app
        self._token = token
        # A cookie is sent to every port of this machine, so each server needs a name of its own.
        self._cookie = f"harness-{hashlib.sha256(token.encode()).hexdigest()[:12]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        async def answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
            response = PlainTextResponse(text, status, {"connection": "close", **(headers or {})})
            await response(scope, receive, send_with_headers)

        request = Request(scope)
        query = dict(request.query_params)
        if (why := _describe_foreign(request)) is not None:
            await answer(403, why)
        elif "token" in query and request.method in _SAFE_METHODS:
            # The token of the first address becomes a cookie, and the address loses it.
            if not self._is_token(query.pop("token")):
                await answer(403, f"this token is of another start; {_OPEN_ADDRESS}")
                return
            place = "/" + quote(scope["path"].lstrip("/")) + (f"?{urlencode(query)}" if query else "")
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            await answer(303, "", {"location": place, "set-cookie": cookie})
        elif not self._is_token(request.cookies.get(self._cookie, "")):
            await answer(401, _OPEN_ADDRESS)
        else:
            await self._app(scope, receive, send_with_headers)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode())


def _describe_foreign(request: Request) -> str | None:
    """Why a request is not this machine's own; None if it is."""

    def header(name: str) -> str:
        # A header that is given several times is joined, and is then equal to no value that is allowed.
        return ", ".join(request.headers.getlist(name))

    host = header("host")
    if _host_name(host) not in _HOSTS:
        return "this server answers to 127.0.0.1 and localhost only"
    origin, site = header("origin"), header("sec-fetch-site")
    if origin and origin != f"http://{host}":
        return "another page sent this"
    if request.method not in _SAFE_METHODS:
        return None if origin else "a change must say which page sent it"
    # A link on another page may lead here; nothing else of another page may.
    link = header("sec-fetch-mode") == "navigate" and header("sec-fetch-dest") == "document"
    return None if not site or site in _OWN_SITES or link else "another page sent this"


def _host_name(host: str) -> str:
    """The name in a `Host` header, without its port; empty for a header that is not valid."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return parts.hostname or "" if parts.netloc == host and "@" not in host else ""
