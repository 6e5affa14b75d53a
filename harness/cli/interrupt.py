"""Ctrl-C: once stops taking samples and lets what is in flight finish, twice ends now."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from harness.engine.work import Stop
from harness.groups import ungrouped
from harness.terminal import say

_T = TypeVar("_T")
GRACE_SECONDS = 5.0


def interruptible(body: Callable[[], Awaitable[_T]], stop: Stop) -> _T:
    """Run a coroutine under the handler, which asks `stop`. Raises KeyboardInterrupt when it was interrupted."""
    return anyio.run(_under_handler, body, stop)


async def _under_handler(body: Callable[[], Awaitable[_T]], stop: Stop) -> _T:
    results = list[_T]()
    with ungrouped():
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, stop, group.cancel_scope)
            results.append(await body())
            group.cancel_scope.cancel()
    if not results:
        raise KeyboardInterrupt
    return results[0]


async def _listen(stop: Stop, scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if stop.asked:
                scope.cancel()
                return
            stop.interrupt()
            say(f"stopping: calls in flight have {GRACE_SECONDS:g} s to finish; Ctrl-C again ends now", err=True)
            scope.deadline = anyio.current_time() + GRACE_SECONDS


def leave_threads(code: int) -> None:
    """End the process where a thread is still at work, such as one that loads a model: Python would wait for it."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        return
    atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - ends the children of libraries
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
