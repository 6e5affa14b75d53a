"""Who may call a local server: whoever has the token of this start, sent as `Authorization: Bearer TOKEN`."""

from __future__ import annotations

import hmac
import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SCHEME = b"bearer "


def new_token() -> str:
    """A token nobody can guess; another one each time."""
    return secrets.token_urlsafe(24)


def guarded(app: ASGIApp, token: str) -> ASGIApp:
    """The application, for callers with the token only; all others get a 401. Raises ValueError for an empty token."""
    if not token:
        raise ValueError("an empty token guards nothing")
    wanted = token.encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not hmac.compare_digest(_given(scope), wanted):
            await _refuse(send)
        else:
            await app(scope, receive, send)

    return guard


def _given(scope: Scope) -> bytes:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"authorization" and value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].strip()
    return b""


async def _refuse(send: Send) -> None:
    error = {"message": "the token is missing or wrong", "type": "authentication_error", "code": "invalid_api_key"}
    body = json.dumps({"error": error | {"param": None}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),  # a body that nobody reads may be on its way
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
