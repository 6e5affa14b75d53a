"""Time limits of strategies and attacks: what their own code may take for one sample.

A call of the model has its own deadline, waits and retries (`harness.limits`), so its time is not a strategy's. What is
left is the strategy's own: `keep_time` runs it in a task of its own and counts the seconds in which no call of the
model is on its way. When they are used up, the task is cancelled and left behind, so a strategy that waits in a thread
or ignores its cancellation does not hold the sample either. An attack works in a thread, which nobody can end: it is
left behind, too.

What cannot be helped: code that blocks the event loop stops this clock with everything else. `watch_loop` names it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from harness.contracts import Model, ModelInfo
from harness.errors import HarnessError
from harness.types import Failure, Request, Response

_T = TypeVar("_T")
_GRACE: Final = 5.0  #: seconds that a cancelled strategy gets to end
_THREADS: Final = 40  #: attacks that work at once
_limiter: RunVar[anyio.CapacityLimiter] = RunVar("threads of attacks")
_left: set[asyncio.Task[Any]] = set()  #: tasks that were left behind; the loop itself keeps no reference to them


class OverTime(Exception):
    """A plugin's own code has taken all its seconds."""


class _OwnTime:
    """The seconds that a strategy has worked on one request while it waited for no call of the model."""

    def __init__(self) -> None:
        self.over = False
        self._calls = 0
        self._spent = 0.0
        self._since = time.monotonic()

    @contextmanager
    def pause(self) -> Generator[None]:
        """Count no time while the body runs, which is one call of the model."""
        if not self._calls:
            self._spent += time.monotonic() - self._since
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._since = time.monotonic()

    @property
    def spent(self) -> float:
        """The seconds so far."""
        return self._spent + (0.0 if self._calls else time.monotonic() - self._since)


_own_time: ContextVar[_OwnTime | None] = ContextVar("a strategy's own time", default=None)


class TimedModel:
    """The model that a strategy gets: its calls are no time of the strategy's. Other attributes pass through.

    Args:
        model: the model.
        check: raises PluginError for what is no request.
    """

    def __init__(self, model: Model, check: Callable[[object], None]) -> None:
        self._model = model
        self._check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """The model's answer. Raises HarnessError for a request that was given up."""
        self._check(request)
        own = _own_time.get()
        if own is None:
            return await self._model.generate(request)
        if own.over:
            raise HarnessError("the request that this call is for has ended: its strategy took too long")
        with own.pause():
            return await self._model.generate(request)


async def keep_time(work: Callable[[], Coroutine[Any, Any, _T]], seconds: float) -> _T:
    """What a strategy gives for one request. Raises OverTime once its own code has taken these seconds."""
    own = _OwnTime()
    token = _own_time.set(own)
    try:
        task = asyncio.get_running_loop().create_task(work())
    finally:
        _own_time.reset(token)
    try:
        while (left := seconds - own.spent) > 0:
            await asyncio.wait({task}, timeout=left)
            if task.done():
                return task.result()
    except asyncio.CancelledError:
        await _end_task(task)
        raise
    own.over = True
    task.cancel()
    _leave_behind(task)
    raise OverTime


async def _end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended, or leave it behind after some seconds."""
    with anyio.CancelScope(shield=True):
        for _ in range(int(_GRACE)):
            if task.done():
                break
            task.cancel()
            await asyncio.wait({task}, timeout=1)
    _leave_behind(task)


def _leave_behind(task: asyncio.Task[Any]) -> None:
    def forget(ended: asyncio.Task[Any]) -> None:
        _left.discard(ended)
        if not ended.cancelled():
            ended.exception()  # else asyncio prints that nobody asked for it

    _left.add(task)
    task.add_done_callback(forget)


async def work_in_thread(work: Callable[..., _T], *arguments: object, seconds: float | None) -> _T:
    """What a function of an attack gives, in a thread. Raises OverTime once it has worked these seconds.

    The wait for a thread does not count, and other work of the run has threads of its own.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(_THREADS)
        _limiter.set(limiter)
    async with limiter:
        with anyio.move_on_after(seconds):
            return await anyio.to_thread.run_sync(
                work, *arguments, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
    raise OverTime
