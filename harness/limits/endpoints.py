"""Slots per endpoint, and the policy of all calls.

A slot is one call on the wire. Only the provider's call holds it: it is free while a record is written, during a
back-off, and between the calls of a strategy or rubric. So two waits cannot block each other.

All clients' connections together stay below this process's limit of open files.

There are two limits: how many calls run at once, and how fast they start. The first grows with each success up to the
cap. The second starts with the first 429 that others share, and follows the endpoint's refusals
(`harness.limits.throttling`). Slots alone do not fit a server that limits requests per second, because the rate that
they allow depends on how long answers take. A user who knows the server's limits sets calls and tokens a minute
(`harness.limits.quota`); they hold from the first call, beside the pace that is learnt.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from harness import descriptors
from harness.contracts import Model, ModelInfo, Provider
from harness.limits.quota import FreeMeter, Meter, Quota, Ticket
from harness.limits.throttling import Call, Pace, Refusal, Refusals
from harness.limits.tokens import find_image_rule
from harness.makers import Brush

Tell = Callable[[str], None]  #: receives a line that the user should read now
OpenMeter = Callable[[str, Provider, Mapping[str, Any]], Meter]
#: seconds; a shorter pause is not worth a message
WORTH_TELLING: Final = 5.0
_USUAL_CAP: Final = 100  #: calls at once if neither the model nor the user sets a cap


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How calls are limited and retried.

    Attributes:
        start: calls at once on a new endpoint that states no limit.
        cap: most calls at once, even if a model states more; None uses the model's limit, else 100.
        tries: most tries of one call that fails for a temporary reason.
        throttled_tries: most tries of one call that the server only asks to slow down.
        base: seconds; the first back-off is drawn from 0 to this, each later one from twice the range.
        longest: seconds; the longest back-off, unless the provider asks for more.
        patience: seconds; a provider that asks for a longer wait counts as down.
        deadline: seconds that one call may take; local models have none.
        breaker: errors in a row, of any kind, that stop a model.
        rpm: most calls a minute to one endpoint; None for no limit. Local models have none.
        tpm: most tokens a minute, likewise. A call's tokens are estimated before it and corrected after it.
    """

    start: int = 20
    cap: int | None = None
    tries: int = 6
    throttled_tries: int = 30
    base: float = 1.0
    longest: float = 60.0
    patience: float = 600.0
    deadline: float = 600.0
    breaker: int = 20
    rpm: float | None = None
    tpm: float | None = None


class _Turn:
    """One call in the queue."""

    def __init__(self, ticket: Ticket) -> None:
        self.came = anyio.Event()
        self.inside = False
        self.ticket = ticket


class Endpoint:
    """Slots of one endpoint, judge calls first, and the pace at which calls start.

    The first in the queue waits until the pause is over, the pace allows a start and a slot is free; the others wait
    behind it. A pause is reported when it begins, not when it grows. The pace is reported when it is known, and again
    when it has halved.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        fixed: int | None = None,
        tell: Tell | None = None,
        connections: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.name = name
        self._tell = tell
        self._connections = connections
        self._requested = policy.cap or 0
        stated = fixed or policy.cap or _USUAL_CAP
        self._cap = min(stated, policy.cap or stated)
        self._limit = min(fixed or policy.start, self._cap)
        self._on_wire = 0
        self._urgent: deque[_Turn] = deque()
        self._waiting: deque[_Turn] = deque()
        self._has_first = False
        self._slot_freed = anyio.Event()
        self._pace = Pace()
        self._refusals = Refusals()
        self._calls_quota = Quota(policy.rpm) if policy.rpm else None
        self._tokens_quota = Quota(policy.tpm) if policy.tpm else None
        self._noted_level = math.inf
        self._noted_until = -math.inf
        self._paused_until = -math.inf
        self._longest_wait = 0.0

    @property
    def slots(self) -> int:
        """Calls allowed on the wire now: the limit, or fewer if too few files can be opened for connections."""
        return int(min(self._limit, self._connections()))

    @asynccontextmanager
    async def slot(self, *, urgent: bool, ticket: Ticket | None = None) -> AsyncGenerator[float]:
        """Hold a slot for one call; yields its start time.

        Args:
            urgent: whether the call goes before others.
            ticket: its expected tokens; the body replaces them by those that it took.
        """
        ticket = ticket or Ticket()
        if self._has_first:
            await self._wait_in_queue(urgent, ticket)
        else:
            await self._wait_as_first(ticket)
        try:
            yield time.monotonic()
        finally:
            if self._tokens_quota is not None and ticket.entry is not None:
                self._tokens_quota.correct(ticket.entry, ticket.tokens)
            self._leave()

    async def _wait_in_queue(self, urgent: bool, ticket: Ticket) -> None:
        """Wait until this call may start, or is first in the queue."""
        turn = _Turn(ticket)
        queue = self._urgent if urgent else self._waiting
        queue.append(turn)
        try:
            await turn.came.wait()
        except BaseException:
            if turn in queue:
                queue.remove(turn)
            elif turn.inside:
                self._leave()
            else:
                self._admit_next()
            raise
        if not turn.inside:
            await self._wait_as_first(ticket)

    async def _wait_as_first(self, ticket: Ticket) -> None:
        """Wait, as the first in the queue, until this call may start; one call at a time waits here."""
        self._has_first = True
        try:
            while not self._enter(ticket):
                now = time.monotonic()
                closed = max(self._paused_until - now, self._pace.wait(now), self._wait_for_quotas(now, ticket))
                if closed > 0:
                    await anyio.sleep(closed)
                else:
                    self._slot_freed = anyio.Event()
                    await self._slot_freed.wait()
        finally:
            self._admit_next()

    def _wait_for_quotas(self, now: float, ticket: Ticket) -> float:
        """Seconds until the user's limits allow a call to start."""
        calls = 0.0 if self._calls_quota is None else self._calls_quota.wait(now)
        return calls if self._tokens_quota is None else max(calls, self._tokens_quota.wait(now, ticket.tokens))

    def _enter(self, ticket: Ticket) -> bool:
        """Start one call if allowed; returns whether it started."""
        now = time.monotonic()
        if self._on_wire >= self.slots or now < self._paused_until or self._pace.wait(now) > 0:
            return False
        if self._wait_for_quotas(now, ticket) > 0:
            return False
        self._on_wire += 1
        self._pace.start(now)
        if self._calls_quota is not None:
            self._calls_quota.start(now)
        if self._tokens_quota is not None:
            ticket.entry = self._tokens_quota.start(now, ticket.tokens)
        most = self._requested
        if most > self._connections():
            self._requested = 0
            if self._tell is not None:
                self._tell(
                    f"{self.name} gets {self._connections():.0f} calls at once, not {most}: this process may open only"
                    f" {descriptors.limit()} files (`ulimit -n`)"
                )
        return True

    def _leave(self) -> None:
        self._on_wire -= 1
        self._slot_freed.set()

    def _admit_next(self) -> None:
        """Start the waiting calls that may start now; the next one becomes first in the queue."""
        self._has_first = False
        while queue := self._urgent or self._waiting:
            turn = queue.popleft()
            turn.inside = self._enter(turn.ticket)
            turn.came.set()
            if not turn.inside:
                self._has_first = True
                return

    @property
    def busy(self) -> bool:
        """Whether a call is on the wire."""
        return self._on_wire > 0

    @property
    def passes(self) -> int:
        """Number of calls answered so far, whatever the answer."""
        return self._refusals.passes

    def record_success(self, call: Call | None = None) -> None:
        """Record that a call was answered, whatever the answer: the endpoint works."""
        kept = self._refusals.record_pass(call or Call(), time.monotonic())
        if kept is not None:
            self.slow_down(kept.started, kept.wait, kept.heard)
        if self._limit < self._cap:
            self._limit += 1
            self._slot_freed.set()

    def record_refusal(self, call: Call, started: float, wait: float, passes: int) -> None:
        """Record a refused try; if other calls are refused too, slow down.

        Args:
            call: the call of the try.
            started: when the try started.
            wait: seconds that the server asked to wait; 0 for none.
            passes: `passes` when the try started.
        """
        now = time.monotonic()
        refusal = Refusal(call=call, started=started, heard=now, wait=wait, passes=passes)
        for each in self._refusals.record(refusal):
            self.slow_down(each.started, each.wait, each.heard)
        self._report(wait, now)

    def slow_down(self, started: float, wait: float | None, heard: float | None = None) -> None:
        """Slow the endpoint down after the refusal of a call that started at `started`.

        Refusals of calls that were on the wire together count as one, with the longest wait of them. It counts from
        `heard`, or from now.
        """
        now, pause = time.monotonic(), wait or 0.0
        heard = now if heard is None else heard
        if self._pace.record_refusal(started, heard, pause, now) or pause > self._longest_wait:
            self._paused_until = max(self._paused_until, heard + pause)
            self._longest_wait = pause
        self._report(pause, heard)

    def _report(self, pause: float, heard: float) -> None:
        """Report a new pause, and a pace at half of the last reported one."""
        said = [f"asked to wait {pause:.0f} s"] if pause >= WORTH_TELLING and heard >= self._noted_until else []
        self._noted_until = max(self._noted_until, heard + pause)
        level = self._pace.level
        if level is not None and level <= self._noted_level / 2:
            self._noted_level = level
            said.append(f"allows about {level:.3g} calls a second")
        if said and self._tell is not None:
            self._tell(f"{self.name} {'; it '.join(said)}")


class Endpoints:
    """All endpoints of a process, by name: all calls to one server share its slots.

    Attributes:
        policy: the policy of all endpoints.
        tell: receives messages for the user; None drops them.
        notes: notes of the watched models so far, each text once.
        open_meter: (`SCHEME/NAME`, provider, its settings) -> a meter for the model's calls.
    """

    def __init__(self, policy: Policy, *, tell: Tell | None = None) -> None:
        self.policy = policy
        self.tell = tell
        self.notes: list[str] = []
        self._known: dict[str, Endpoint] = {}
        self._clients = 0
        self._room = descriptors.call_limit()
        self._watched: list[Model | Brush] = []
        self._answering: list[Model | Brush] = []
        self.open_meter: OpenMeter = lambda ref, _provider, _settings: FreeMeter(find_image_rule(ref))

    def of(self, info: ModelInfo) -> Endpoint:
        """The endpoint of a model's calls."""
        if info.endpoint not in self._known:
            self._known[info.endpoint] = Endpoint(
                info.endpoint,
                replace(self.policy, rpm=None, tpm=None) if info.local else self.policy,
                fixed=info.concurrency,
                tell=self.tell,
                connections=(lambda: math.inf) if info.local else self._connections_of_each,
            )
        return self._known[info.endpoint]

    def _connections_of_each(self) -> float:
        """Calls at once for one client: clients keep connections open, and each connection is an open file."""
        return math.inf if self._room is None else max(1, self._room // max(1, self._clients))

    def mark_answered(self, model: Model | Brush) -> None:
        """Record that a model has answered: a later forbidden call does not mean that all calls are forbidden."""
        if not self.has_answered(model):
            self._answering.append(model)

    def has_answered(self, model: Model | Brush) -> bool:
        """Whether a model has answered anything."""
        return any(each is model for each in self._answering)

    def watch(self, model: Model | Brush) -> None:
        """Report this model's notes, now and whenever it has new ones."""
        self._watched.append(model)
        self._clients += not model.info.local
        self.hear(model)

    def listen(self) -> None:
        """Report new notes of the watched models."""
        for model in self._watched:
            self.hear(model)

    def hear(self, model: Model | Brush) -> None:
        """Report new notes of one model."""
        for note in model.info.notes:
            if note not in self.notes:
                self.notes.append(note)
                if self.tell is not None:
                    self.tell(note)
