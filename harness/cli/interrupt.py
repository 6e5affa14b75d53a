"""How a run ends: Ctrl-C once stops taking samples, twice ends now, three times whatever happens; and no leftovers.

The handlers are Python's own and not the event loop's, so that they are called also while a plugin holds the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any, Self, TypeVar

import anyio

from harness.errors import HarnessError, unwrap_groups
from harness.evaluation.samples import Stop
from harness.plugins.boundary import find_caller

from .crash import INTERRUPTED
from .ending import LINGER_SECONDS, end_soon, leave
from .stdout import tell

_T = TypeVar("_T")
GRACE_SECONDS = 5.0


def interruptible(body: Callable[[], Awaitable[_T]], stop: Stop) -> _T:
    """Run a coroutine under the handler, which asks `stop`. Raises KeyboardInterrupt when it was interrupted."""
    with _Interrupts(stop) as interrupts:
        try:
            return anyio.run(_under_handler, body, interrupts)
        except SystemExit as error:  # of a task that a library or a plugin began: no call of ours raises one
            raise HarnessError(
                f"something in this process asked it to exit in the middle of the run: SystemExit: {error.code}",
                where=_find_line(error),
            ) from error


async def _under_handler(body: Callable[[], Awaitable[_T]], interrupts: _Interrupts) -> _T:
    results = list[_T]()
    asyncio.get_running_loop().set_default_executor(_Executor())
    try:
        with unwrap_groups():
            async with anyio.create_task_group() as group:
                interrupts.begin(group.cancel_scope)
                results.append(await body())
    finally:
        await _end_tasks()
    if not results:
        raise KeyboardInterrupt
    return results[0]


class _Interrupts:
    """The handlers of SIGINT and SIGTERM while a run goes on."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._count = 0
        self._running: tuple[asyncio.AbstractEventLoop, anyio.CancelScope] | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def begin(self, scope: anyio.CancelScope) -> None:
        """From now on a signal ends this scope."""
        self._running = asyncio.get_running_loop(), scope

    def _handle(self, _: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._running is None:
            raise KeyboardInterrupt
        if self._count >= 3:
            _end_now(frame)
        loop, scope = self._running
        again = self._stop.asked
        self._stop.interrupt()  # before anything is said: the next signal may come in the middle of it
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(scope.cancel if again else partial(_end_in_time, scope))
        if again:
            _say("ending now; the next Ctrl-C ends it whatever happens")
        else:
            _say(f"stopping: calls in flight have {GRACE_SECONDS:g} s to finish; Ctrl-C again ends now")


def _end_in_time(scope: anyio.CancelScope) -> None:
    scope.deadline = anyio.current_time() + GRACE_SECONDS


def _say(line: str) -> None:
    """Say a line from within a handler, which may have come in the middle of another line."""
    try:
        tell(line)
    except (RuntimeError, OSError, ValueError):
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode())


def _end_now(frame: FrameType | None) -> None:
    """End the process at once, with the plugin that keeps it from ending."""
    held = find_caller(frame)
    by = ""
    if held is not None:
        source, place, where = held
        by = f"; plugin {source.name} ({source.origin}), {place}, did not let it end, at {where}"
    _say(f"ended{by}\nwhat was answered is kept: the same command goes on")
    end_soon(INTERRUPTED, LINGER_SECONDS / 2)
    leave(INTERRUPTED)


class _Executor(ThreadPoolExecutor):
    """The loop's own threads; a call that never returns in one of them does not keep the loop open."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=True)


async def _end_tasks() -> None:
    """End the tasks that a plugin left in the loop; one that will not end is no longer waited for."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, stubborn = await asyncio.wait(left, timeout=LINGER_SECONDS)
        for task in stubborn:
            asyncio._unregister_task(task)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented for loops


def _find_line(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
