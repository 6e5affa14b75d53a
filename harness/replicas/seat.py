"""One replica over its lives: started, asked, and started again when it dies.

Restarts are for what nobody can explain: an answer earns all of them back, and a death over one request that was under
way at a death before costs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

import anyio

from harness.contracts import ModelInfo
from harness.errors import Forbidden, HarnessError
from harness.replicas import wire
from harness.replicas.frames import Frame
from harness.replicas.order import Order
from harness.replicas.process import Child, started
from harness.types import Failure, Json, Request, Response

#: times a replica that died is started again with no answer between
RESTARTS: Final = 2
State = Literal["starting", "live", "gone"]


@dataclass(slots=True)
class Death:
    """An unforeseen end, for the requests that may each have been its cause.

    Attributes:
        turn: theirs, one at a time.
        explained: one of them was the cause: the others are not.
    """

    turn: anyio.Lock = field(default_factory=anyio.Lock)
    explained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A request got no answer, because its replica was lost.

    Attributes:
        why: how the replica ended.
        death: what the request may have caused; None where it was another one.
        culprit: it was under way at a death before, and alone now: it is the cause.
    """

    why: str
    death: Death | None
    culprit: bool


Reply = Response | Failure | Lost | Forbidden


@dataclass(slots=True)
class _Call:
    """A request under way; a suspect was under way at a death before."""

    suspect: bool
    settled: anyio.Event = field(default_factory=anyio.Event)
    reply: Reply = field(default_factory=lambda: Lost(why="", death=None, culprit=False))

    def settle(self, reply: Reply) -> None:
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

    async def ask(self, request: Request, *, suspect: bool = False) -> Reply:
        """Ask it, where it is free. Raises ValueError where an image of the request was not opened.

        Args:
            request: what to ask.
            suspect: it was under way when a replica died.
        """
        assert self._child is not None
        body, blobs = wire.request_out(request)
        child, number, call = self._child, next(self._numbers), _Call(suspect)
        self._calls[number] = call
        child.send(Frame(kind="ask", number=number, body=body, blobs=blobs))
        try:
            await call.settled.wait()
        finally:
            self._calls.pop(number, None)
            if not call.settled.is_set():
                child.send(Frame(kind="drop", number=number))
            self._changed(self, "")
        return call.reply

    async def run(self) -> None:
        """Live, and live again after an unforeseen end."""
        used = 0
        while self.state != "gone":
            async with started(f"{self._order.ref} {self.name}", self._variables) as child:
                end = await self._life(child)
                used = 0 if self._answered else used
                culprit = self._culprit(end)
                again = not end.final and (culprit is not None or used < RESTARTS)
                used += culprit is None
                count = f" ({used} of {RESTARTS})" if culprit is None else ""
                self.state = "starting" if again else "gone"
                self._over(end, culprit, f"it is started again{count}" if again else "it is gone for good")

    async def _life(self, child: Child) -> _End:
        self._answered = False
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
        self.info, self._child = info, child
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
            if isinstance(answer, HarnessError) and not isinstance(answer, Forbidden):
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

    @property
    def _waiting(self) -> dict[int, _Call]:
        return {number: call for number, call in self._calls.items() if not call.settled.is_set()}

    def _culprit(self, end: _End) -> int | None:
        """The request that caused this end: a suspect, and no other one can have; None where that is not known."""
        suspects = [number for number in self._waiting if end.over in (None, number)]
        return suspects[0] if len(suspects) == 1 and self._calls[suspects[0]].suspect else None

    def _over(self, end: _End, culprit: int | None, then: str) -> None:
        self.fault = end.error
        waiting, death = self._waiting, Death()
        for number, call in waiting.items():
            blamed = death if end.over in (None, number) else None
            call.settle(Lost(why=end.why, death=blamed, culprit=number == culprit))
        self._calls.clear()
        had = "its request is" if len(waiting) == 1 else f"its {len(waiting)} requests are"
        asked = f"{had} asked again, and " if waiting and culprit is None else ""
        asked = "the request that was under way at a death before is given up, and " if culprit is not None else asked
        self._changed(self, f"{self.name} {end.why}: {asked}{then}")


def other_files(name: str) -> HarnessError:
    """Replicas that would answer as different models."""
    return HarnessError(
        f"{name} opened other files than the replicas before it", remedy="does something write to the model's folder?"
    )


def _raised(error: Exception, *, final: bool, over: int | None = None) -> _End:
    what = error.what if isinstance(error, HarnessError) else str(error).strip().rpartition("\n")[2]
    return _End(why=f"says: {what}", error=error, over=over, final=final)


def _error(body: Json, name: str) -> Exception:
    if "bug" in body:
        return RuntimeError(f"{name} failed: {body['bug']}")
    error = wire.answer_in(body)
    assert isinstance(error, HarnessError)
    return error
