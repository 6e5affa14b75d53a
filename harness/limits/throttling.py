"""Interprets an endpoint's refusals: which are about the endpoint, and how fast calls may start there.

An overloaded endpoint refuses any call: other calls are refused too, or the same request passes at the next try. But a
gateway may also refuse one request again and again while others pass; a slower pace does not help there.
Invariants of `Refusals`:

- A refusal is *shared* if the last calls include two refusals of other calls, and a quarter of them were refused. A
  shared refusal slows the endpoint at once, and so do the earlier refusals that were held back.
- A refusal that is not shared is held back. It slows the endpoint if its call passes at the next try, because then the
  endpoint was too busy at that moment. Until then only this call waits.
- A call with `OWN` unshared refusals while others passed is refused because of its content. From its second unshared
  refusal on, its refusals do not count as shared with other calls.
- If no other call passes, there is nothing to compare with, and no call counts as refused because of its content.

Servers limit requests, or tokens, per time. While a server refuses, the calls that it accepts show its limit: the
accepted calls of the last second are the level. From there the pace depends on time alone (the curve of TCP CUBIC): at
once a little below the level, after a while back at it, and then above it, ever faster, until the next refusal shows
the new level. A level that cannot be measured yet is a guess and doubles every round, so that a server that refused
everything for minutes is soon used fully again.

A refusal describes the moment its call started. So refusals of calls that started before the last known change say
nothing new. All times are seconds on one clock that the caller reads.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import Final

OWN: Final = 6  #: unshared refusals until a request is given up
_LAST: Final = 16  # recent calls to consider
_LATELY: Final = 60.0  # their greatest age in seconds
_OTHERS: Final = 2  # least refusals of other calls
_SHARE: Final = 0.25  # least share of refusals, including this one
_SUSPECT: Final = 2  # unshared refusals that make a call suspect

_DIP: Final = 0.05  # how far below the level the pace starts
_RISE: Final = 0.2  # how far above the level the pace is after twice the calm
_CALM: Final = 10.0  # seconds until the pace is back at the level
_CALM_CALLS: Final = 40  # fewest calls until then
_LONGEST_CALM: Final = 120.0  # seconds
_WINDOW: Final = 1.0  # seconds of calls to count
_SHORTEST: Final = 0.5  # shortest window, in seconds, if a pause cuts it
_FEWEST: Final = 8  # fewest calls in a window
_BLIND: Final = 0.85  # factor on the pace if there is nothing to count
_BLIND_PAUSED: Final = 0.4  # the same if the refusal costs a pause
_CAREFUL: Final = 0.95  # factor on the level if each refusal costs a pause
_PAUSE: Final = 0.25  # seconds; a longer wait is a pause that breaks the count
_CATCH_UP: Final = 0.02  # most seconds that a late start may catch up
_ROUND_CALLS: Final = 4  # calls until a guess is doubled, or
_LONGEST_ROUND: Final = 5.0  # seconds, or the time that a refusal takes
_LEAST: Final = 1 / 60  # lowest level, in calls per second
_KEPT: Final = 60.0  # seconds for which starts are remembered


@dataclass(slots=True, eq=False)
class Call:
    """One call with all its tries.

    Attributes:
        passes: calls that had passed when its first refused try started; None without a refusal.
        alone: number of its unshared refusals while others passed.
        shared: whether its last refusal was shared.
        kept: its last refusal, if held back.
    """

    passes: int | None = None
    alone: int = 0
    shared: bool = False
    kept: Refusal | None = None

    @property
    def own(self) -> bool:
        """Whether it is refused because of its content."""
        return self.alone >= OWN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refusal:
    """One try that the server refused with "slow down".

    Attributes:
        call: the call of the try.
        started: when the try started.
        heard: when it was refused.
        wait: seconds that the server asked to wait.
        passes: calls that had passed when it started.
    """

    call: Call = field(repr=False)
    started: float
    heard: float
    wait: float
    passes: int


class Refusals:
    """The outcomes of the last calls of one endpoint.

    Attributes:
        passes: number of calls passed so far.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._last: deque[tuple[float, Refusal | None]] = deque(maxlen=_LAST)

    def record_pass(self, call: Call, now: float) -> Refusal | None:
        """Record that a call was answered; returns its held-back refusal, which now slows the endpoint, or None."""
        self.passes += 1
        self._last.append((now, None))
        kept, call.kept = call.kept, None
        return None if call.alone >= _SUSPECT else kept

    def record(self, refusal: Refusal) -> list[Refusal]:
        """Record a refusal; returns the refusals that now slow the endpoint, in order: none if it is not shared."""
        call, now = refusal.call, refusal.heard
        lately = [each for at, each in self._last if at > now - _LATELY]
        passed = sum(each is None for each in lately)
        others = sum(each is not None and each.call is not call and each.call.alone < _SUSPECT for each in lately)
        call.kept, call.shared = refusal, others >= _OTHERS and others + 1 >= _SHARE * (others + 1 + passed)
        call.passes = refusal.passes if call.passes is None else call.passes
        self._last.append((now, refusal))
        if not call.shared:
            call.alone += self.passes > call.passes
            return []
        kept = [each for _, each in self._last if each is not None and each.call.kept is each]
        slowing = [each for each in kept if each is refusal or each.call.alone < _SUSPECT]
        for each in slowing:
            each.call.kept = None
        return slowing


class Pace:
    """How fast calls may start at one endpoint; no limit before the first refusal."""

    def __init__(self) -> None:
        self._level = math.inf
        self._learning = False
        self._counted = False
        self._changed = -math.inf
        self._known = -math.inf
        self._round = _WINDOW
        self._since = math.inf
        self._starts: list[float] = []
        self._refused: list[float] = []
        self._next = -math.inf

    @property
    def level(self) -> float | None:
        """Calls per second that the endpoint allows; None if not measured yet."""
        return self._level if self._counted else None

    def wait(self, now: float) -> float:
        """Seconds until the next call may start."""
        return max(0.0, self._next - now)

    def start(self, now: float) -> None:
        """Record that a call starts."""
        self._since = min(self._since, now)
        self._starts.append(now)
        if self._starts[0] < now - 2 * _KEPT:
            self._forget(now)
        if self._level < math.inf:
            between = self._between(now)
            self._next = max(self._next, now - max(between, _CATCH_UP)) + between

    def rate(self, now: float) -> float:
        """Calls per second that may start now."""
        passed = max(0.0, now - self._changed)
        if self._learning:
            return self._level * math.exp2(min(30.0, max(0.0, passed / self._round - 1)))
        calm = max(_CALM, min(_CALM_CALLS / self._level, _LONGEST_CALM))
        way = (passed - calm) / calm
        return self._level * (1 + (_DIP * way**3 if way < 0 else _RISE * way**4))

    def _between(self, now: float) -> float:
        """Seconds from a call that starts now to the next: the time in which the rate adds up to one call."""
        rate = self.rate(now)
        flat = max(0.0, self._changed + self._round - now) if self._learning else math.inf
        if rate * flat >= 1:
            return 1 / rate
        return flat + self._round * math.log2(1 + math.log(2) * (1 - rate * flat) / (rate * self._round))

    def record_refusal(self, started: float, heard: float, pause: float, now: float | None = None) -> bool:
        """Record a refused call; returns whether it changes the pace.

        Args:
            started: when the call started.
            heard: when it was refused; the new pace counts from then.
            pause: seconds that the server asked to wait; 0 for none.
            now: given if the refusal was held back until now: it did not slow calls that started meanwhile, so their
                refusals say nothing new either.
        """
        self._refused.append(started)
        if started <= self._known:
            return False
        first = self._level == math.inf
        self._level = max(_LEAST, self._guess_level(heard) if first else self._measure_level(started, pause))
        self._learning = self._learning or first
        self._round = max(_WINDOW, heard - started, min(_ROUND_CALLS / self._level, _LONGEST_ROUND))
        self._changed = heard + pause
        self._known = max(heard if now is None else now, self._changed)
        self._next = max(self._next, self._changed)
        if first or pause > _PAUSE:  # calls were not paced yet, or a pause breaks the count
            self._since, self._refused = self._known, []  # refused calls may have waited instead of asking
            self._starts = self._starts[bisect_right(self._starts, self._known) :]
        else:
            self._forget(heard)
        return True

    def _guess_level(self, heard: float) -> float:
        """The level at the first refusal: the calls accepted so far; usually too low, so it is doubled later."""
        accepted = bisect_right(self._starts, heard) - sum(at <= heard for at in self._refused)
        return max(1, accepted) / max(heard - self._since, 0.1)

    def _measure_level(self, started: float, pause: float) -> float:
        """The level at a later refusal; a drop by more than half means that the server has changed."""
        last = bisect_right(self._starts, started)
        first = max(0, min(bisect_left(self._starts, started - _WINDOW), last - _FEWEST))
        begin = max(self._since, min(started - _WINDOW, self._starts[first] if self._starts else started))
        seconds, asked = started - begin, last - first
        self._learning = self._counted = False
        if seconds < _SHORTEST or asked < _FEWEST:
            self._learning = pause > _PAUSE  # far too fast: the next refusals would come soon, and each costs a pause
            return self.rate(started) * (_BLIND_PAUSED if self._learning else _BLIND)
        rate = min(self.rate(started), asked / seconds)
        accepted = (asked - sum(begin <= at <= started for at in self._refused)) / seconds
        self._learning = accepted < rate / 2
        self._counted = not self._learning
        return rate / 2 if self._learning else accepted * (_CAREFUL if pause > _PAUSE else 1.0)

    def _forget(self, now: float) -> None:
        """Drop entries that are too old to count."""
        first = min(bisect_left(self._starts, now - _KEPT), max(0, len(self._starts) - _FEWEST))
        if first > 0:
            self._starts = self._starts[first:]
            self._since = max(self._since, self._starts[0])
            self._refused = [at for at in self._refused if at >= self._since]
