"""Limits that the user sets from the start: calls a minute, tokens a minute, dollars.

All times are seconds on one clock that the caller reads.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

import anyio

from harness.errors import BudgetSpent
from harness.limits.tokens import ImageRule, clean_usage, count_output, count_request, find_image_rule
from harness.types import Request, Usage

MINUTE: Final = 60.0
_ENOUGH: Final = 5  #: answers after which their mean is expected
_CATCH_UP: Final = 0.05  #: most seconds that late starts may catch up


@dataclass(slots=True, eq=False)
class Entry:
    """What one call takes of a quota: estimated when it starts, then as it was."""

    at: float
    units: float


class Quota:
    """At most so many units in any minute, spread evenly over it.

    A call larger than the whole quota starts once nothing else of the last minute counts.

    Args:
        most: units a minute.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._between = MINUTE / most  # seconds for one unit
        self._next = float("-inf")
        self._entries: deque[Entry] = deque()
        self._sum = 0.0

    def wait(self, now: float, units: float = 1.0) -> float:
        """Seconds until a call of so many units may start, as far as is known now; 0 if it may start."""
        while self._entries and self._entries[0].at <= now - MINUTE:
            self._sum -= self._entries.popleft().units
        even = max(0.0, self._next - now)
        if not self._entries or self._sum + units <= self._most:
            return even
        return max(even, self._entries[0].at + MINUTE - now)

    def start(self, now: float, units: float = 1.0) -> Entry:
        """Record that a call starts."""
        entry = Entry(now, units)
        self._entries.append(entry)
        self._sum += units
        self._next = max(self._next, now - _CATCH_UP) + units * self._between
        return entry

    def correct(self, entry: Entry, units: float) -> None:
        """Record what a call really took; an entry of more than a minute ago no longer counts."""
        more, entry.units = units - entry.units, units
        if self._entries and entry.at >= self._entries[0].at:  # those that ended their minute are dropped in order
            self._sum += more
        self._next += more * self._between


@dataclass(slots=True, eq=False)
class Ticket:
    """The tokens of one call.

    Attributes:
        tokens: as expected; once the call is back, as they were.
        entry: in the endpoint's quota; None before the call starts, or without a quota.
    """

    tokens: float = 0.0
    entry: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a call is expected to take.

    Attributes:
        tokens: input and output together.
        dollars: the most that it can cost, as far as is known; 0 for a call that nobody sells.
    """

    tokens: int
    dollars: Decimal = Decimal()


class Meter(Protocol):
    """Weighs the calls of one model before they start, and learns what they took."""

    def weigh(self, request: Request, thinking: int = 0) -> Load:
        """What a call with this request is expected to take; `thinking` is `ModelInfo.thinking_tokens`."""
        ...

    async def hold(self, load: Load) -> None:
        """Wait until the call may be paid for. Raises BudgetSpent if it never may."""
        ...

    def settle(self, load: Load, usage: Usage | None, reported: str = "", *, answered: bool = False) -> None:
        """Learn what a held call took; None for a call that was given up. If it was answered, it took tokens."""
        ...

    def lose(self, load: Load, request: Request, thinking: int = 0) -> None:
        """Learn that no answer to a held call came, though the provider may have made one and may bill it."""
        ...

    def miss(self, dollars: Decimal) -> None:
        """Learn that the answer of a batch's request cannot be read, and the most that it may have cost."""
        ...

    def bound(self, request: Request, thinking: int = 0) -> Decimal | None:
        """The most dollars that a request may cost in a batch, 0 if nobody sells it; None if unknown."""
        ...

    def count(self, usage: Usage, reported: str = "", *, answered: bool = False) -> Decimal | None:
        """Learn what an answer of a batch took; returns its dollars, None if unknown."""
        ...


class FreeMeter:
    """A Meter that expects of each call the mean of those before, and counts no dollars."""

    def __init__(self, rule: ImageRule | None = None) -> None:
        self.rule = rule or find_image_rule("")
        self._calls = self._tokens = 0

    def weigh(self, request: Request, thinking: int = 0) -> Load:  # noqa: ARG002
        """The mean of the calls so far; at first what the request's text, images and token limit may take."""
        if self._calls >= _ENOUGH:
            return Load(tokens=round(self._tokens / self._calls))
        return Load(tokens=count_request(request, self.rule)[1] + count_output(request))

    async def hold(self, load: Load) -> None:
        """Nothing is to be paid."""

    def settle(
        self,
        load: Load,  # noqa: ARG002
        usage: Usage | None,
        reported: str = "",  # noqa: ARG002
        *,
        answered: bool = False,  # noqa: ARG002
    ) -> None:
        """Count the tokens of an answer."""
        counts = None if usage is None else clean_usage(usage)
        if counts is not None and counts.input_tokens:
            self._calls += 1
            self._tokens += counts.input_tokens + counts.output_tokens

    def lose(self, load: Load, request: Request, thinking: int = 0) -> None:
        """Nothing is to be paid."""

    def miss(self, dollars: Decimal) -> None:
        """Nothing is to be paid."""

    def bound(self, request: Request, thinking: int = 0) -> Decimal | None:  # noqa: ARG002
        """Unknown."""
        return None

    def count(self, usage: Usage, reported: str = "", *, answered: bool = False) -> Decimal | None:  # noqa: ARG002
        """Unknown."""
        return None


class Budget:
    """Dollars that may be spent; a call on the wire counts as its dearest possible cost until it is back.

    So does a request of a batch, which may take a day: no call waits for what it leaves.

    Args:
        limit: most dollars; None for no limit.
        spent: dollars spent before.

    Attributes:
        spent: dollars so far, without calls on the wire.
        unanswered: the part of them that is the most of calls without an answer, which may not be billed.
    """

    def __init__(self, limit: Decimal | None = None, *, spent: Decimal = Decimal()) -> None:
        self.limit = limit
        self.spent = spent
        self.unanswered = Decimal()
        self._before = spent
        self._held = Decimal()
        self._aside = Decimal()  # for batches
        self._calls = 0
        self._over: BudgetSpent | None = None
        self._changed = anyio.Event()

    async def hold(self, dollars: Decimal) -> None:
        """Set dollars aside for a call that starts; wait while calls on the wire may leave enough.

        Raises BudgetSpent once a call does not fit: from then on for every call.
        """
        while True:
            if self._over is not None:
                raise self._over
            if self._fits(dollars):
                break
            if not self._calls:
                self._over = self._explain(dollars)
                self._wake()
                raise self._over
            await self._changed.wait()
        self._held += dollars
        self._calls += 1

    def settle(self, held: Decimal, cost: Decimal) -> None:
        """Take a call off the wire and count its cost."""
        self._held -= held
        self._calls -= 1
        self.spent += cost
        self._wake()

    def find_excess(self, dollars: Decimal | None) -> BudgetSpent | None:
        """Why a request may not go into a batch, by the most that it may cost; None if it may."""
        if self._over is not None or self.limit is None:
            return self._over
        if dollars is None:
            return BudgetSpent(
                f"stopped by --max-usd {self.limit}: the price of the next request is unknown",
                remedy="give the price under `prices` in harness.yaml",
            )
        return None if self._fits(dollars) else self._explain(dollars)

    def set_aside(self, dollars: Decimal) -> None:
        """Count so many dollars for all requests of batches whose answers were not read yet."""
        self._aside = dollars

    def spend(self, dollars: Decimal) -> None:
        """Count dollars that no call held."""
        self.spent += dollars
        self._wake()

    def _fits(self, dollars: Decimal) -> bool:
        return self.limit is None or self.spent + self._held + self._aside + dollars <= self.limit

    def _wake(self) -> None:
        """Let all waiting calls look again."""
        self._changed.set()
        self._changed = anyio.Event()

    def _explain(self, dollars: Decimal) -> BudgetSpent:
        before = f", ${self._before:.4f} of it in earlier commands" if self._before else ""
        if self.unanswered:
            before += f", up to ${self.unanswered:.4f} of it for calls without an answer, which may be billed"
        batches = f", batches may cost up to ${self._aside:.4f}" if self._aside else ""
        return BudgetSpent(
            f"stopped by --max-usd {self.limit}: ${self.spent:.4f} is spent{before}{batches}, and the next call"
            f" may cost up to ${dollars:.4f}",
            remedy=f"all answers are kept; the same command with a larger --max-usd continues from ${self.spent:.4f}",
        )
