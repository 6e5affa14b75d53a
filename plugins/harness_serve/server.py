"""Opens the model, serves it, and ends with the signal that asks for it."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import click

from harness import Policy
from harness.groups import ungrouped
from harness.models import ModelSpec, open_metered
from harness.terminal import one_line
from harness.web import LOOPBACK, chat_app, is_loopback, new_token, serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is served where.

    Attributes:
        name: what clients call the model.
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
class Opened:
    """A server that answers.

    Attributes:
        url: without a path.
        name: what clients call the model.
        token: what clients send.
    """

    url: str
    name: str
    token: str = field(repr=False)


def serve(spec: ModelSpec, policy: Policy, place: Place, *, ready: Callable[[Opened], None]) -> None:
    """Serve until SIGINT or SIGTERM; calls in flight then have 5 s to finish.

    Raises:
        HarnessError: the model cannot be opened, or the address not listened on.
    """
    anyio.run(_serve, spec, policy, place, ready)


async def _serve(spec: ModelSpec, policy: Policy, place: Place, ready: Callable[[Opened], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end, signals, tasks.cancel_scope)
            await _offer(spec, policy, place, ready)


async def _end(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        _tell("stopping: calls in flight have 5 s to finish")
        scope.cancel()


async def _offer(spec: ModelSpec, policy: Policy, place: Place, ready: Callable[[Opened], None]) -> None:
    """Open the model and serve it until cancelled. It has no breaker: a client's bad requests are no one else's."""
    host, token = place.host or LOOPBACK, place.token or new_token()
    async with open_metered(spec, replace(policy, breaker=sys.maxsize), tell=_tell) as model:
        app = chat_app(model, name=place.name, token=token, files=place.files, body_limit=place.body_limit)
        async with serving(app, host=host, port=place.port) as served:
            if not is_loopback(host):
                _tell(f"warning: {host} can be reached from other machines, and calls are not encrypted")
            ready(Opened(url=served.url, name=place.name, token=token))
            await anyio.sleep_forever()


def _tell(line: str) -> None:
    click.echo(one_line(line), err=True)
