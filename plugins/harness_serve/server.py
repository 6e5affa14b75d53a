"""Opens a model and serves it until a signal ends the command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import click

from harness import Policy
from harness.errors import unwrap_groups
from harness.extras import check_modules
from harness.models import ModelSpec, open_metered
from harness.text import one_line
from harness.web import LOOPBACK, chat_app, is_loopback, new_token, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve a model.

    Attributes:
        name: the model's name for clients.
        host: empty for loopback.
        port: 0 for any free one.
        token: empty for a new one.
        files: the folder of `file://`, or None.
        body_limit: bytes of one request.
    """

    name: str
    host: str
    port: int
    token: str = field(repr=False)
    files: Path | None
    body_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model on a running server.

    Attributes:
        url: the server's URL, without a path.
        name: the model's name for clients.
        token: the clients' token.
    """

    url: str
    name: str
    token: str = field(repr=False)


def serve(spec: ModelSpec, policy: Policy, options: ServeOptions, *, ready: Callable[[ServedModel], None]) -> None:
    """Serve until SIGINT or SIGTERM; calls in flight then have 5 s to finish. It calls `ready` once the server answers.

    Raises:
        HarnessError: the model does not open, or the address is not available.
    """
    check_modules("starlette", "uvicorn", extras=("serve",), by="a local server")
    anyio.run(_serve, spec, policy, options, ready)


async def _serve(spec: ModelSpec, policy: Policy, options: ServeOptions, ready: Callable[[ServedModel], None]) -> None:
    host, token = options.host or LOOPBACK, options.token or new_token()
    # no circuit breaker: one client's bad requests must not stop the others
    unbroken = replace(policy, breaker=sys.maxsize)

    async def stop_at_signal() -> None:
        async for _ in signals:
            _print("stopping: calls in flight have 5 s to finish")
            tasks.cancel_scope.cancel()

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, unwrap_groups():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_at_signal)
            async with open_metered(spec, unbroken, tell=_print) as model:
                app = chat_app(
                    model, name=options.name, token=token, files=options.files, body_limit=options.body_limit
                )
                async with serving(app, host=host, port=options.port) as served:
                    if not is_loopback(host):
                        _print(f"warning: other machines can reach {host}, and calls are not encrypted")

                    ready(ServedModel(url=served.url, name=options.name, token=token))
                    await anyio.sleep_forever()


def _print(line: str) -> None:
    click.echo(one_line(line), err=True)
