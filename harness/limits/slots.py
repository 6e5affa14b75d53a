"""Slots per endpoint, and one retry policy.

A slot is one call on the wire. It is taken innermost, around the provider's call alone: never held while a record is
written, while backing off, or by a strategy or rubric that makes several calls. So no two waits can hold each other.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from harness.contracts import Model, ModelInfo
from harness.errors import HarnessError
from harness.limits.breaker import Breaker
from harness.types import Failure, Request, Response


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
        deadline: seconds one call may take; local models have none.
        breaker: errors in a row with one reason and no success between that stop a model.
    """

    start: int = 20
    cap: int = 100
    tries: int = 6
    throttled_tries: int = 30
    base: float = 1.0
    longest: float = 60.0
    deadline: float = 600.0
    breaker: int = 20


class Endpoint:
    """Slots of one endpoint: adaptive, judge calls first.

    The limit grows by one with each success until the first 429, then by one a round; a 429 halves it, at most once
    for all the calls that were on the wire together.
    """

    def __init__(self, name: str, policy: Policy, *, fixed: int | None = None) -> None:
        self.name = name
        self._cap = min(fixed or policy.cap, policy.cap)
        self._limit = float(min(fixed or policy.start, self._cap))
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
        if wait:
            self._paused_until = max(self._paused_until, now + wait)


class Endpoints:
    """All endpoints of a process, by name: calls to one server share slots whoever makes them."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._known: dict[str, Endpoint] = {}

    def of(self, info: ModelInfo) -> Endpoint:
        """The endpoint a model's calls go to."""
        if info.endpoint not in self._known:
            self._known[info.endpoint] = Endpoint(info.endpoint, self.policy, fixed=info.concurrency)
        return self._known[info.endpoint]


class Metered:
    """A Model whose calls take a slot, are tried again for passing reasons, and open the breaker."""

    def __init__(self, model: Model, endpoints: Endpoints, *, urgent: bool = False) -> None:
        self._model = model
        self._policy = endpoints.policy
        self._breaker = Breaker(model.info.endpoint, endpoints.policy.breaker)
        self.endpoint = endpoints.of(model.info)
        self._urgent = urgent

    @property
    def info(self) -> ModelInfo:
        """The wrapped model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, with retries. Raises HarnessError when nothing will work."""
        tries = throttled = 0
        while True:
            self._breaker.check()
            result = await self._once(request)
            if isinstance(result, Response):
                return result
            throttled += result.throttled
            tries += not result.throttled
            spent = tries >= self._policy.tries or throttled >= self._policy.throttled_tries
            if not result.transient or spent:
                return self._final(result)
            await anyio.sleep(self._backoff(max(tries, throttled), result.retry_after))

    def _final(self, failure: Failure) -> Failure:
        if failure.outcome == "error":
            self._breaker.failed(failure)
        else:
            self._succeeded()
        return failure

    def _succeeded(self) -> None:
        self.endpoint.succeeded()
        self._breaker.succeeded()

    async def _once(self, request: Request) -> Response | Failure:
        async with self.endpoint.slot(urgent=self._urgent) as started:
            result = await self._within_deadline(request)
        if isinstance(result, Response):
            self._succeeded()
        elif result.throttled:
            self.endpoint.throttled(started, result.retry_after)
        return result

    async def _within_deadline(self, request: Request) -> Response | Failure:
        seconds = math.inf if self.info.local else self._policy.deadline
        try:
            with anyio.move_on_after(seconds):
                return await self._model.generate(request)
        except HarnessError:
            raise
        except Exception as error:  # noqa: BLE001 - a model is a plugin: what it raises fails this sample, not the run
            return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:500])
        return Failure(outcome="error", reason="deadline", message=f"no answer in {seconds:g} s", transient=True)

    def _backoff(self, tries: int, asked: float | None) -> float:
        longest = min(self._policy.longest, self._policy.base * 2 ** (tries - 1))
        return max(asked or 0.0, random.uniform(0, longest))
