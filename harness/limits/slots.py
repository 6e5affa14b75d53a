"""Slots per endpoint, and the policy of all calls.

A slot is one call on the wire. It is taken innermost, around the provider's call alone: never held while a record is
written, while backing off, or by a strategy or rubric that makes several calls. So no two waits can hold each other.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from harness.contracts import Model, ModelInfo

Tell = Callable[[str], None]  #: takes a line that a person should read now
#: seconds; a shorter pause is over before a person has read of it
WORTH_TELLING: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How calls are limited and repeated.

    Attributes:
        start: calls at once on a fresh endpoint that states no limit of its own.
        cap: most calls at once, also where a model states more.
        tries: tries of one call that fails for a passing reason.
        throttled_tries: tries of one call that is only told to slow down.
        base: seconds; the first back-off is drawn from 0 to this, each later one from twice as much.
        longest: seconds; no back-off is longer, unless the provider asks for it.
        patience: seconds; a provider that asks to wait longer is down.
        deadline: seconds one call may take; local models have none.
        breaker: errors in a row with one reason and no success between that stop a model.
    """

    start: int = 20
    cap: int = 100
    tries: int = 6
    throttled_tries: int = 30
    base: float = 1.0
    longest: float = 60.0
    patience: float = 600.0
    deadline: float = 600.0
    breaker: int = 20


class Endpoint:
    """Slots of one endpoint: adaptive, judge calls first.

    The limit grows by one with each success until the first 429, then by one a round; a 429 halves it, at most once
    for all the calls that were on the wire together.

    A pause is told when it begins and not when it grows; a halving is told when there were never so few slots before.
    """

    def __init__(self, name: str, policy: Policy, *, fixed: int | None = None, tell: Tell | None = None) -> None:
        self.name = name
        self._tell = tell
        self._cap = min(fixed or policy.cap, policy.cap)
        self._limit = float(min(fixed or policy.start, self._cap))
        self._fewest = self.slots
        self._flying = 0
        self._urgent: deque[anyio.Event] = deque()
        self._waiting: deque[anyio.Event] = deque()
        self._throttled = False
        self._halved_at = -math.inf
        self._paused_until = -math.inf

    @property
    def slots(self) -> int:
        """Calls that may be on the wire now."""
        return int(self._limit)

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncGenerator[float]:
        """One call on the wire; yields the moment it started."""
        await self._take(urgent)
        try:
            yield time.monotonic()
        finally:
            self._flying -= 1
            self._wake()

    async def _take(self, urgent: bool) -> None:
        while True:
            await anyio.sleep(max(0.0, self._paused_until - time.monotonic()))
            ahead = self._urgent if urgent else (*self._urgent, *self._waiting)
            if self._flying < self.slots and not ahead:
                self._flying += 1
            else:
                await self._queue(urgent)
            if time.monotonic() >= self._paused_until:
                return
            self._flying -= 1  # the endpoint was told to pause while this call waited
            self._wake()

    async def _queue(self, urgent: bool) -> None:
        """Wait for a turn; the slot is handed over by `_wake`, already counted."""
        turn = anyio.Event()
        queue = self._urgent if urgent else self._waiting
        queue.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn in queue:
                queue.remove(turn)
            else:
                self._flying -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._flying < self.slots and (self._urgent or self._waiting):
            self._flying += 1
            (self._urgent or self._waiting).popleft().set()

    def succeeded(self) -> None:
        """A call was answered, however: the endpoint lives."""
        self._limit = min(self._cap, self._limit + (1 / self._limit if self._throttled else 1))
        self._wake()

    def throttled(self, started: float, wait: float | None) -> None:
        """A call that started at `started` was told to slow down, and for how many seconds to wait."""
        now = time.monotonic()
        self._throttled = True
        if started > self._halved_at:
            self._limit = max(1.0, self._limit / 2)
            self._halved_at = now
        pause = wait or 0.0
        begins = pause >= WORTH_TELLING and now >= self._paused_until
        self._paused_until = max(self._paused_until, now + pause)
        self._told(pause if begins else 0.0)

    def _told(self, pause: float) -> None:
        """Say what is new: a pause of so many seconds, 0 for none, and fewer slots than ever before."""
        said = [f"asked to wait {pause:.0f} s"] if pause else []
        if self.slots < self._fewest:
            self._fewest = self.slots
            said.append(f"takes too many calls at once: {self.slots} from now on")
        if said and self._tell is not None:
            self._tell(f"{self.name} {'; it '.join(said)}")


class Endpoints:
    """All endpoints of a process, by name: calls to one server share slots whoever makes them.

    Attributes:
        policy: of all of them.
        tell: given what a person should know of them; None says nothing.
        notes: what the watched models had to say so far, each text once.
    """

    def __init__(self, policy: Policy, *, tell: Tell | None = None) -> None:
        self.policy = policy
        self.tell = tell
        self.notes: list[str] = []
        self._known: dict[str, Endpoint] = {}
        self._watched: list[Model] = []

    def of(self, info: ModelInfo) -> Endpoint:
        """The endpoint a model's calls go to."""
        if info.endpoint not in self._known:
            self._known[info.endpoint] = Endpoint(info.endpoint, self.policy, fixed=info.concurrency, tell=self.tell)
        return self._known[info.endpoint]

    def watch(self, model: Model) -> None:
        """Tell what this model has to say, now and whenever there is more of it."""
        self._watched.append(model)
        self.listen()

    def listen(self) -> None:
        """Take up new notes of the watched models, and tell them."""
        for model in self._watched:
            for note in model.info.notes:
                if note not in self.notes:
                    self.notes.append(note)
                    if self.tell is not None:
                        self.tell(note)
