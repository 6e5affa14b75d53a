"""One replica over its lives: started, asked, and started again when it dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

import anyio

from harness.contracts import ModelInfo
from harness.errors import HarnessError, PluginError
from harness.replicas import wire
from harness.replicas.frames import Frame
from harness.replicas.order import Order
from harness.replicas.process import Child, started
from harness.types import Failure, Json, Request, Response

#: times a replica that died is started again
RESTARTS: Final = 2
State = Literal["starting", "live", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A request got no answer, because its replica was lost.

    Attributes:
        why: how the replica ended.
        suspect: the request may be what ended it.
    """

    why: str
    suspect: bool


@dataclass(slots=True)
class _Call:
    """A request under way."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: Response | Failure | Lost = field(default_factory=lambda: Lost(why="", suspect=False))

    def settle(self, reply: Response | Failure | Lost) -> None:
        self.reply = reply
        self.settled.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """How a life ended.

    Attributes:
        why: in words, such as `was killed by SIGKILL`.
        error: what its model raised; else one that says why.
        over: the request that it was raised over; None where each one under way may have been the cause.
        final: another life would end so too.
    """

    why: str
    error: Exception
    over: int | None
    final: bool


class Seat:
    """A replica.

    Attributes:
        name: `replica 2 (device 1)`.
        state: what it is doing.
        info: of its model, the latest; None before it was ever open.
        fault: why it is gone.
        accelerator: what its process runs on, as run.json has it.
    """

    def __init__(
        self, order: Order, name: str, variables: Mapping[str, str], changed: Callable[[Seat, str], None]
    ) -> None:
        self.name = name
        self.state: State = "starting"
        self.info: ModelInfo | None = None
        self.fault: Exception | None = None
        self.accelerator: Mapping[str, Json] = {}
        self._order = order
        self._variables = variables
        self._changed = changed
        self._numbers = count()
        self._calls: dict[int, _Call] = {}
        self._child: Child | None = None
        self._answered = False

    @property
    def load(self) -> int:
        """Requests it has under way."""
        return len(self._calls)

    @property
    def free(self) -> bool:
        """Whether it may be asked now."""
        most = None if self.info is None else self.info.concurrency
        return self.state == "live" and (most is None or self.load < most)

    async def ask(self, request: Request) -> Response | Failure | Lost:
        """Ask it, where it is free. Raises ValueError where an image of the request was not opened."""
        assert self._child is not None
        body, blobs = wire.request_out(request)
        child, number, call = self._child, next(self._numbers), _Call()
        self._calls[number] = call
        child.send(Frame(kind="ask", number=number, body=body, blobs=blobs))
        try:
            await call.settled.wait()
        finally:
            del self._calls[number]
            if not call.settled.is_set():
                child.send(Frame(kind="drop", number=number))
            self._changed(self, "")
        return call.reply

    async def run(self) -> None:
        """Live, and live again after an unforeseen end."""
        for life in range(RESTARTS + 1):
            async with started(f"{self._order.ref} {self.name}", self._variables) as child:
                end = await self._life(child)
                again = life < RESTARTS and not end.final
                self.state = "starting" if again else "gone"
                self._over(end, f"it is started again ({life + 1} of {RESTARTS})" if again else "it is gone for good")
            if not again:
                return

    async def _life(self, child: Child) -> _End:
        child.send(Frame(kind="open", body=self._order.as_json()))
        return await self._opening(child) or await self._serving(child)

    async def _opening(self, child: Child) -> _End | None:
        """Wait until the model is open; None when it is."""
        frame = await child.receive()
        if frame is None:
            return await self._died(child)
        if frame.kind == "failed":
            return _raised(_error(frame.body, self.name), final=True)
        info = wire.info_in(frame.body["info"])
        if self.info is not None and info.fingerprint != self.info.fingerprint:
            return _raised(other_files(self.name), final=True)
        self.info, self._child, self._answered = info, child, False
        self.accelerator = frame.body["accelerator"]
        self.state = "live"
        child.opened = True
        self._changed(self, "")
        return None

    async def _serving(self, child: Child) -> _End:
        while (frame := await child.receive()) is not None:
            if frame.kind == "failed":
                return _raised(_error(frame.body, self.name), over=None, final=not self._answered)
            if "info" in frame.body:
                self.info = wire.info_in(frame.body["info"])
                self._changed(self, "")
            call, answer = self._calls.get(frame.number), wire.answer_in(frame.body)
            if isinstance(answer, HarnessError):
                return _raised(answer, over=frame.number, final=not self._answered)
            self._answered = True
            if call is not None:
                call.settle(answer)
        return await self._died(child)

    async def _died(self, child: Child) -> _End:
        """What to say of a process that is gone; one that was never open would not be another time either."""
        self.state = "starting"  # nobody asks it while its last words are read
        why = await child.ended()
        error = HarnessError(
            f"{self._order.ref}: {self.name} {why}",
            remedy="\n  ".join(["it said last:", *child.said] * bool(child.said)),
        )
        return _End(why=why, error=error, over=None, final=self.info is None)

    def _over(self, end: _End, then: str) -> None:
        self.fault = end.error
        waiting = {number: call for number, call in self._calls.items() if not call.settled.is_set()}
        for number, call in waiting.items():
            call.settle(Lost(why=end.why, suspect=end.over in (None, number)))
        had = "its request is" if len(waiting) == 1 else f"its {len(waiting)} requests are"
        asked = f"{had} asked again, and " if waiting else ""
        self._changed(self, f"{self.name} {end.why}: {asked}{then}")


def other_files(name: str) -> HarnessError:
    """Replicas that would answer as different models."""
    return HarnessError(
        f"{name} opened other files than the replicas before it", remedy="does something write to the model's folder?"
    )


def _raised(error: Exception, *, final: bool, over: int | None = None) -> _End:
    if isinstance(error, PluginError):
        what = error.said
    else:
        what = error.what if isinstance(error, HarnessError) else str(error).strip().rpartition("\n")[2]
    return _End(why=f"says: {what}", error=error, over=over, final=final)


def _error(body: Json, name: str) -> Exception:
    if "bug" in body:
        return RuntimeError(f"{name} failed: {body['bug']}")
    error = wire.answer_in(body)
    assert isinstance(error, HarnessError)
    return error
