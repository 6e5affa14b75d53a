"""Gathers requests that may run together into batches, and runs one batch at a time in a thread.

Each caller waits for its own result. While a batch runs, the next one gathers, and a full one is prepared meanwhile, so
that the device never waits for the harness. A cancelled request leaves its batch, and the batch goes on.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

Item = TypeVar("Item")
Result = TypeVar("Result")


class Ticket(Generic[Item, Result]):
    """One submitted item.

    Attributes:
        item: what is submitted.
        key: items of one key may share a batch; an item with None runs alone.
        due: when it stops waiting for others, on anyio's clock.
        wanted: becomes false, at any moment, when its caller no longer waits for the result.
    """

    def __init__(self, item: Item, key: Hashable, due: float) -> None:
        self.item = item
        self.key = key
        self.due = due
        self.wanted = True
        self._settled = anyio.Event()
        self._results: list[Result] = []

    async def result(self) -> Result:
        """Wait until the batch has run."""
        await self._settled.wait()
        return self._results[0]

    def settle(self, result: Result) -> None:
        """Hand the result to the caller that waits."""
        self._results.append(result)
        self._settled.set()


class Batcher(Generic[Item, Result]):
    """Runs `work` on batches.

    Args:
        work: (tickets of one batch) -> one result each, in order; called in a thread, never twice at once. It must not
            raise, and should give up early on tickets that are no longer wanted.
        size: most items in a batch; asked each time, since it may shrink.
        wait: seconds the first of a batch waits for others; 0 takes what is there.
        ahead: called in another thread with a full batch that has to wait for the one before; must not raise.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Ticket[Item, Result]]], Sequence[Result]],
        *,
        size: int | Callable[[], int],
        wait: float,
        ahead: Callable[[Sequence[Ticket[Item, Result]]], None] | None = None,
    ) -> None:
        self._work = work
        self._size = size
        self._wait = wait
        self._ahead = ahead
        self._waiting: list[Ticket[Item, Result]] = []
        self._arrived = anyio.Event()
        self._idle = anyio.Event()
        self._idle.set()

    async def submit(self, item: Item, key: Hashable) -> Result:
        """The result of one item, from the batch it ends up in."""
        ticket: Ticket[Item, Result] = Ticket(item, key, anyio.current_time() + self._wait)
        self._waiting.append(ticket)
        self._arrived.set()
        try:
            return await ticket.result()
        finally:
            ticket.wanted = False
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Run batches while the block runs; what the block raises comes out as it is, not in a group."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, tasks)
                yield
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from group.exceptions[0].__cause__
            raise

    async def _serve(self, tasks: TaskGroup) -> None:
        while True:
            batch = await self._gather()
            if self._ahead is not None and not self._idle.is_set():
                limiter = anyio.CapacityLimiter(1)
                await anyio.to_thread.run_sync(self._ahead, batch, limiter=limiter, abandon_on_cancel=True)
            await self._idle.wait()
            self._idle = anyio.Event()
            tasks.start_soon(self._run, batch)

    async def _run(self, batch: Sequence[Ticket[Item, Result]]) -> None:
        limiter = anyio.CapacityLimiter(1)  # waits for no other thread: the batcher itself runs one batch at a time
        try:
            results = await anyio.to_thread.run_sync(self._work, batch, limiter=limiter, abandon_on_cancel=True)
        finally:
            for ticket in batch:  # an abandoned thread stops at this
                ticket.wanted = False
        for ticket, result in zip(batch, results, strict=True):
            ticket.settle(result)
        self._idle.set()
        self._arrived.set()

    async def _gather(self) -> list[Ticket[Item, Result]]:
        """The next batch: as soon as it is full, or else once nothing runs and its first has waited long enough."""
        while True:
            while not (wanted := [ticket for ticket in self._waiting if ticket.wanted]):
                await self._next_arrival()
            first = wanted[0]
            while True:
                if first.key is None:
                    size, batch = 1, [first] if first.wanted else []
                else:
                    size = self._size if isinstance(self._size, int) else self._size()
                    batch = [ticket for ticket in self._waiting if ticket.key == first.key and ticket.wanted]
                idle = self._idle.is_set()
                if len(batch) >= size or (idle and anyio.current_time() >= first.due):
                    break
                with anyio.CancelScope(deadline=first.due if idle else inf):
                    await self._next_arrival()
            if batch:
                batch = batch[:size]
                self._waiting = [ticket for ticket in self._waiting if ticket not in batch]
                return batch

    async def _next_arrival(self) -> None:
        self._arrived = anyio.Event()
        await self._arrived.wait()
