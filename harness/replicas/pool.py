"""A Model over its replicas: each request goes to the one with the least to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio

from harness.contracts import Model, ModelInfo
from harness.errors import HarnessError, PluginError
from harness.groups import ungrouped
from harness.replicas.order import Order
from harness.replicas.places import Place, environment, told
from harness.replicas.seat import Lost, Seat, other_files
from harness.types import Failure, Json, Request, Response

#: replicas that one request may take down before it is given up
SUSPICIONS: Final = 2


class Pool:
    """The replicas of one model.

    A request that was under way in a replica that is lost is asked again elsewhere. One that may have been the cause
    twice ends as the Failure `replica_died`: it must not take all of them down.
    """

    def __init__(self, order: Order, places: Sequence[Place]) -> None:
        self._order = order
        self._notes: list[str] = []
        self._moved = anyio.Event()
        self._endpoint = f"{order.ref} in {told(places)}"
        self._info: ModelInfo | None = None
        self._last: Exception | None = None
        self.seats = [
            Seat(order, f"replica {number} ({place})", environment(place, len(places)), self._changed)
            for number, place in enumerate(places, 1)
        ]

    @property
    def info(self) -> ModelInfo:
        """All replicas as one: their concurrency together, what any of them notes or drops."""
        if self._info is None:
            infos = [seat.info for seat in self.seats if seat.info is not None]
            self._info = replace(_merged(infos, self._notes), ref=self._order.ref, endpoint=self._endpoint)
        return self._info

    @property
    def accelerator(self) -> Mapping[str, Json]:
        """What the first replica runs on; read by whoever writes down the environment of a run."""
        return self.seats[0].accelerator

    async def generate(self, request: Request) -> Response | Failure:
        """Let a replica answer. Raises HarnessError when none is left."""
        suspicions: list[Lost] = []
        while len(suspicions) < SUSPICIONS:
            seat = await self._free()
            reply = await seat.ask(request)
            if not isinstance(reply, Lost):
                return reply
            suspicions += [reply] * reply.suspect
        self._check_left()
        why = "; ".join(dict.fromkeys(lost.why for lost in suspicions))
        return Failure(
            outcome="error", reason="replica_died", message=f"{SUSPICIONS} replicas ended over this request: {why}"
        )

    async def ready(self) -> None:
        """Wait until all are open. Raises what the first that cannot be raises."""
        while any(seat.state == "starting" for seat in self.seats):
            self._check_start()
            await self._move()
        self._check_start()
        first = self.seats[0].info
        for seat in self.seats[1:]:
            if first is not None and seat.info is not None and seat.info.fingerprint != first.fingerprint:
                raise other_files(seat.name)
        self._notes.clear()

    def _check_start(self) -> None:
        for seat in self.seats:
            if seat.fault is not None:
                raise seat.fault

    async def _free(self) -> Seat:
        """The replica with the least to do, once one may be asked."""
        while True:
            free = [seat for seat in self.seats if seat.free]
            if free:
                return min(free, key=lambda seat: seat.load)
            self._check_left()
            await self._move()

    def _check_left(self) -> None:
        """Raise why the last replica ended, where none is left."""
        if self._last is not None and all(seat.state == "gone" for seat in self.seats):
            raise _again(self._last)

    async def _move(self) -> None:
        await self._moved.wait()

    def _changed(self, seat: Seat, note: str) -> None:
        if note:
            self._notes.append(note)
        if seat.fault is not None:
            self._last = seat.fault
        self._info = None
        self._moved.set()
        self._moved = anyio.Event()


def _merged(infos: Sequence[ModelInfo], notes: Iterable[str]) -> ModelInfo:
    first = infos[0]
    limits = [info.max_images for info in infos if info.max_images is not None]
    at_once = [info.concurrency for info in infos]
    return replace(
        first,
        max_images=min(limits, default=None),
        concurrency=None if None in at_once else sum(filter(None, at_once)),
        can=first.can.intersection(*(info.can for info in infos)),
        dropped=first.dropped.union(*(info.dropped for info in infos)),
        notes=tuple(dict.fromkeys([*(note for info in infos for note in info.notes), *notes])),
    )


def _again(error: Exception) -> HarnessError:
    """The error once more, for another request: each must raise one of its own."""
    if isinstance(error, PluginError):  # as one of its calls it would end a sample, where nothing answers any more
        return HarnessError(error.what, remedy=error.story)
    if isinstance(error, HarnessError):
        return type(error)(error.what, where=error.where, remedy=error.remedy)
    return HarnessError(str(error).strip().rpartition("\n")[2], remedy=f"a bug of the provider's: {error}")


@asynccontextmanager
async def open_replicas(order: Order, places: Sequence[Place]) -> AsyncGenerator[Model]:
    """Open the model in one process for each place, all at once; at the end all of them are gone.

    Raises HarnessError as the provider does, where one of them cannot be opened.
    """
    pool = Pool(order, places)
    with ungrouped():
        async with anyio.create_task_group() as tasks:
            for seat in pool.seats:
                tasks.start_soon(seat.run)
            try:
                await pool.ready()
                yield pool
            finally:
                tasks.cancel_scope.cancel()
