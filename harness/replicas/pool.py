"""A Model over its replicas: each request goes to the one with the least to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from harness.contracts import Model, ModelInfo
from harness.errors import Forbidden, HarnessError, PluginError
from harness.groups import ungrouped
from harness.replicas.order import Order
from harness.replicas.places import Place, environment, told
from harness.replicas.seat import Lost, Reply, Seat, other_files
from harness.types import Failure, Json, Request, Response


class Pool:
    """The replicas of one model.

    What was under way in a replica that died is asked again, one request at a time in a replica that answers nothing
    else meanwhile, until one of them ends that too: it is the cause, ends as the Failure `replica_died`, and the others
    go on as before. So one request takes down two replicas and no more, and no other is blamed for it.
    """

    def __init__(self, order: Order, places: Sequence[Place]) -> None:
        self._order = order
        self._notes: list[str] = []
        self._moved = anyio.Event()
        self._endpoint = f"{order.ref} in {told(places)}"
        self._info: ModelInfo | None = None
        self._last: Exception | None = None
        self._reserved: set[Seat] = set()
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
        ends: list[Lost] = []
        reply = await (await self._free()).ask(request)
        while isinstance(reply, Lost):
            ends += [reply] if reply.death is not None else []
            if reply.culprit:
                self._check_left()
                why = "; ".join(dict.fromkeys(lost.why for lost in ends))
                said = f"replicas ended over this request, the last over it alone: {why}"
                return Failure(outcome="error", reason="replica_died", message=said)
            reply = await self._again(request, reply, suspect=bool(ends))
        if isinstance(reply, Forbidden):
            raise reply
        return reply

    async def _again(self, request: Request, lost: Lost, *, suspect: bool) -> Reply:
        """Ask once more: alone, while it may be what the replica died of."""
        if lost.death is not None:
            async with lost.death.turn:
                if not lost.death.explained:
                    async with self._alone() as seat:
                        reply = await seat.ask(request, suspect=True)
                    lost.death.explained = isinstance(reply, Lost) and reply.culprit
                    return reply
        return await (await self._free()).ask(request, suspect=suspect)

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
            free = [seat for seat in self.seats if seat.free and seat not in self._reserved]
            if free:
                return min(free, key=lambda seat: seat.load)
            self._check_left()
            await self._move()

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[Seat]:
        """A replica that answers nothing else meanwhile: an idle one, else one that starts, else the least busy."""
        seat: Seat | None = None
        try:
            while seat is None or not (seat.free and seat.load == 0):
                if seat is None or seat.state == "gone":
                    seat = self._reserve(instead=seat)
                if seat is None or not seat.free or seat.load:
                    await self._move()
            yield seat
        finally:
            self._release(seat)

    def _reserve(self, instead: Seat | None) -> Seat | None:
        """Keep a replica for one request; None where each is kept for another one. Raises why none is left."""
        self._release(instead)
        self._check_left()
        left = [seat for seat in self.seats if seat.state != "gone" and seat not in self._reserved]
        seat = min(left, key=lambda seat: (seat.load, seat.state != "live"), default=None)
        self._reserved |= set() if seat is None else {seat}
        return seat

    def _release(self, seat: Seat | None) -> None:
        if seat in self._reserved:
            self._reserved.remove(seat)
            self._wake()

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
        self._wake()

    def _wake(self) -> None:
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
        told = HarnessError(error.what, where=error.where, remedy=error.remedy)
        told.__cause__ = error  # which has the traceback
        return told
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
