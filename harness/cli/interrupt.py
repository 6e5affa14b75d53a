"""Interrupts a run: the first Ctrl-C takes no more samples, the second ends the run, the third kills the process.

The handlers are Python's, not the event loop's, so that they run even while a plugin blocks the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final, Self, TypeVar

import anyio

from harness.errors import HarnessError, unwrap_groups
from harness.evaluation.samples import Stop
from harness.plugins.boundary import find_caller

from .ending import INTERRUPTED, LINGER_SECONDS, end_soon, leave
from .stdout import tell

_T = TypeVar("_T")
GRACE_SECONDS: Final = 5.0


def resume_hint(command: Sequence[str]) -> str:
    """The command that resumes the run: the same one."""
    again = shlex.join(word for word in command if word != "--fresh")
    return f"all answers are kept; resume with: {again}"


def interruptible(body: Callable[[], Awaitable[_T]], stop: Stop) -> _T:
    """Run a coroutine; signals ask `stop` to end it. Raises KeyboardInterrupt if it was interrupted."""
    with _Interrupts(stop) as interrupts:
        try:
            return anyio.run(_run_under, interrupts, body)
        except SystemExit as error:  # from a task of a library or a plugin: our calls raise none
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            raise HarnessError(
                f"a library or a plugin asked this process to exit during the run: SystemExit: {error.code}",
                where="" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}",
            ) from error


async def _run_under(interrupts: _Interrupts, body: Callable[[], Awaitable[_T]]) -> _T:
    results = list[_T]()
    asyncio.get_running_loop().set_default_executor(_Executor())
    try:
        with unwrap_groups():
            async with anyio.create_task_group() as group:
                interrupts.begin(group.cancel_scope)
                results.append(await body())
    finally:
        # End the tasks that a plugin left in the loop; do not wait for one that does not end.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            _, stubborn = await asyncio.wait(left, timeout=LINGER_SECONDS)
            for task in stubborn:
                asyncio._unregister_task(task)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented for loops
    if not results:
        raise KeyboardInterrupt
    return results[0]


class _Executor(ThreadPoolExecutor):
    """The loop's threads; a call that never returns does not keep the loop open."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=True)


class _Interrupts:
    """The handlers of SIGINT and SIGTERM during a run."""

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
        """Let signals end this scope from now on."""
        self._running = asyncio.get_running_loop(), scope

    def _handle(self, _: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._running is None:
            raise KeyboardInterrupt
        if self._count >= 3:
            _end_now(frame)
        loop, scope = self._running
        again = self._stop.asked
        self._stop.interrupt()  # before printing, because the next signal may come during it

        def end() -> None:
            if again:
                scope.cancel()
            else:
                scope.deadline = anyio.current_time() + GRACE_SECONDS

        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(end)
        if again:
            _tell_in_handler("ending now; the next Ctrl-C kills the process")
        else:
            _tell_in_handler(f"stopping: calls in flight have {GRACE_SECONDS:g} s to finish; Ctrl-C again ends now")


def _end_now(frame: FrameType | None) -> None:
    """End the process at once, and name the plugin that prevented its end."""
    by = ""
    if (caller := find_caller(frame)) is not None:
        source, place, where = caller
        by = f"; plugin {source.name} ({source.origin}), {place}, did not let it end, at {where}"
    _tell_in_handler(f"ended{by}\nall answers are kept: the same command resumes the run")
    end_soon(INTERRUPTED, LINGER_SECONDS / 2)
    leave(INTERRUPTED)


def _tell_in_handler(line: str) -> None:
    """Print a line, even if the signal interrupted another line."""
    try:
        tell(line)
    except (RuntimeError, OSError, ValueError):
        with contextlib.suppress(OSError):
            os.write(2, f"\n{line}\n".encode())
