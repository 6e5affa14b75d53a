"""What a local page's server turns away, before the page is asked.

Another name than this machine's in `Host` (a name of another site that resolves to 127.0.0.1), a caller without the
cookie, a request that another site's page sent, and a change (POST and the like) that does not say it comes from here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SAFE: Final = frozenset({"GET", "HEAD"})
_OURS: Final = frozenset({"same-origin", "none"})  # of `Sec-Fetch-Site`: from the page, or typed by the user
_OPEN: Final = "open the address that the command printed: it holds the token of this start"


class Door:
    """An ASGI application in front of another one, which it shows to the holder of the token only."""

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
        asked = _Asked(scope)
        if (refused := _foreign(asked)) is not None:
            await _answer(send, 403, refused)
        elif "token" in asked.query and asked.method in _SAFE:
            await self._exchange(asked, send)
        elif not self._is(asked.cookie(self._cookie)):
            await _answer(send, 401, _OPEN)
        else:
            await self._app(scope, receive, _sealed(send))

    async def _exchange(self, asked: _Asked, send: Send) -> None:
        """The token of the first address becomes a cookie, and the address loses it."""
        if not self._is(asked.query["token"]):
            await _answer(send, 403, f"this token is of another start; {_OPEN}")
            return
        rest = urlencode({name: value for name, value in asked.query.items() if name != "token"})
        place = "/" + quote(asked.path.lstrip("/")) + (f"?{rest}" if rest else "")
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        await _answer(send, 303, "", {"location": place, "set-cookie": cookie})

    def _is(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())


class _Asked:
    """The head of one request."""

    def __init__(self, scope: Scope) -> None:
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def header(self, name: str) -> str:
        """Its value; of several the joined ones, which are then nobody's."""
        found = [value.decode("latin-1") for key, value in self._headers if key == name.encode()]
        return ", ".join(found)

    def cookie(self, name: str) -> str:
        """The value of a cookie; empty where there is none."""
        try:
            found = SimpleCookie(self.header("cookie")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value


def _foreign(asked: _Asked) -> str | None:
    """Why a request is not this machine's own; None where it is."""
    host = asked.header("host")
    if _name(host) not in _NAMES:
        return "this server answers to 127.0.0.1 and localhost only"
    origin, site = asked.header("origin"), asked.header("sec-fetch-site")
    if origin and origin != f"http://{host}":
        return "another page sent this"
    if asked.method not in _SAFE:
        return None if origin else "a change must say which page sent it"
    # A link on another page may lead here; nothing else of another page may.
    link = asked.header("sec-fetch-mode") == "navigate" and asked.header("sec-fetch-dest") == "document"
    return None if not site or site in _OURS or link else "another page sent this"


def _name(host: str) -> str:
    """The name in a `Host` header, without its port; empty for what is none."""
    try:
        parts = urlsplit(f"//{host}")
    except ValueError:
        return ""
    return parts.hostname or "" if parts.netloc == host and "@" not in host else ""


def _sealed(send: Send) -> Send:
    """Adds the headers that all answers have."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sealed


async def _answer(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    body = text.encode()
    plain = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), "connection": "close"}
    sealed = _sealed(send)
    every = [(name.encode(), value.encode("latin-1")) for name, value in {**plain, **(headers or {})}.items()]
    await sealed({"type": "http.response.start", "status": status, "headers": every})
    await sealed({"type": "http.response.body", "body": body})
