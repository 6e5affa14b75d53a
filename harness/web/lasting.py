"""A local page that is served until the user stops it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import anyio

from harness.groups import ungrouped
from harness.web.pages import first_url
from harness.web.serving import serving

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve_page(
    app: ASGIApp,
    token: str,
    *,
    port: int,
    ready: Callable[[str], None],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Serve a page until SIGINT or SIGTERM.

    Args:
        app: see `page_app`.
        token: the application's.
        port: 0 for any free one.
        ready: given the address to open, which holds the token.
        beside: what runs as long as the page is served.

    Raises:
        HarnessError: the port cannot be listened on, or the extra `serve` is missing.
    """
    anyio.run(_serve, app, token, port, ready, beside)


async def _serve(
    app: ASGIApp,
    token: str,
    port: int,
    ready: Callable[[str], None],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]],
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, ungrouped():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end, signals, tasks.cancel_scope)
            async with serving(app, port=port) as served:
                ready(first_url(served, token))
                for run in beside:
                    tasks.start_soon(run)
                await anyio.sleep_forever()


async def _end(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
