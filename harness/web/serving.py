"""A web server in the running event loop, and the token that its callers must send.

Its port is known, it takes no signals, and it ends cleanly. The token is new with each start and is sent as
`Authorization: Bearer TOKEN`; pages for people have their own guard, see `harness.web.pages`.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import json
import secrets
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from harness.errors import HarnessError, unwrap_groups
from harness.extras import install_command, require

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

INSTALL: Final = install_command("serve")
LOOPBACK: Final = "127.0.0.1"
_GRACE_SECONDS = 5.0
_IDLE_SECONDS = 75.0  # longer than clients keep a connection they mean to use again
_SCHEME = b"bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that listens.

    Attributes:
        host: as it was asked for.
        port: the real one, also where any free one was asked for.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@asynccontextmanager
async def serving(app: ASGIApp, *, host: str = LOOPBACK, port: int = 0) -> AsyncGenerator[Served]:
    """Serve an ASGI application while the block runs; calls in flight have 5 s to finish when it ends.

    Args:
        app: see `guarded` for one that asks for a token.
        host: another one than loopback lets other machines in; say so to the user.
        port: 0 takes any that is free.

    Raises:
        HarnessError: the address cannot be listened on, or the extra `serve` is missing.
    """
    with _open_listener(host, port) as listener:
        server = _make_server(app)

        async def run() -> None:
            with anyio.CancelScope(shield=True):  # it ends by itself, and closes its connections
                await server.serve(sockets=[listener])

        with unwrap_groups():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                try:
                    yield Served(host=host, port=listener.getsockname()[1])
                finally:
                    server.should_exit = True


@contextlib.contextmanager
def _open_listener(host: str, port: int) -> Generator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise HarnessError(f"{host} is not an address of this machine: {error}", remedy="give another --host") from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
        except OSError as error:
            remedy = "give another --host" if error.errno == errno.EADDRNOTAVAIL else "give another --port"
            raise HarnessError(f"cannot listen on {host}:{port}: {error}", remedy=remedy) from None
        yield listener


def _make_server(app: ASGIApp) -> uvicorn.Server:
    with require("serve", by="a local server"):
        import uvicorn

    class QuietServer(uvicorn.Server):
        """Signals are the command's to handle."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(_IDLE_SECONDS),
        timeout_graceful_shutdown=int(_GRACE_SECONDS),
    )
    return QuietServer(config)


def new_token() -> str:
    """A new token that cannot be guessed."""
    return secrets.token_urlsafe(24)


def guarded(app: ASGIApp, token: str) -> ASGIApp:
    """The application, for callers with the token only; all others get a 401. Raises ValueError for an empty token."""
    if not token:
        raise ValueError("an empty token guards nothing")
    expected = token.encode()
    error = {"message": "the token is missing or wrong", "type": "authentication_error", "code": "invalid_api_key"}
    body = json.dumps({"error": error | {"param": None}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),  # the rest of the request may be on its way, and is not read
    ]

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sent: list[tuple[bytes, bytes]] = scope["headers"]
            bearers = (value for name, value in sent if name == b"authorization")
            given = next((value for value in bearers if value[: len(_SCHEME)].lower() == _SCHEME), b"")
            if not hmac.compare_digest(given[len(_SCHEME) :].strip(), expected):
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await app(scope, receive, send)

    return guard
