"""Which refusals speak of an endpoint, and which of one request alone.

An endpoint that is asked too fast refuses whoever comes: neighbours are refused too, or the same request passes when it
comes again. A gateway may as well refuse one request again and again while its neighbours pass, and no pace mends that.
Invariants:

- A refusal is *shared* while two refusals of other calls, and a quarter in all, are among what the last calls came to.
  A shared one slows the endpoint at once, with those before it that were kept back.
- One that is not shared is kept back. It slows the endpoint when its call passes at the next try: then it spoke of the
  moment. Until then the call alone waits.
- A call that was refused `OWN` times, shared by nobody and while others passed, is refused for its own sake. From the
  second such time on its refusals are no evidence against others.
- Where no other call passes there is nothing to compare with, and a call is never refused for its own sake.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

#: refusals that nobody shares until a request is given up
OWN: Final = 6
_LAST: Final = 16  # calls that are looked back on
_LATELY: Final = 60.0  # seconds that they may lie back
_OTHERS: Final = 2  # refusals of other calls
_SHARE: Final = 0.25  # of what calls came to, its own refusal counted
_SUSPECT: Final = 2  # refusals that nobody shared


@dataclass(slots=True, eq=False)
class Call:
    """One call with all its tries.

    Attributes:
        passes: calls that had passed when the first try that was refused started; None until one was.
        alone: its refusals that nobody shared while others passed.
        shared: whether its last refusal was shared.
        kept: its last refusal, where that is kept back.
    """

    passes: int | None = None
    alone: int = 0
    shared: bool = False
    kept: Refusal | None = None

    @property
    def own(self) -> bool:
        """Whether it is refused for its own sake."""
        return self.alone >= OWN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Refusal:
    """One try that was told to slow down.

    Attributes:
        call: whose try.
        started: when the try started.
        heard: when it was refused.
        wait: seconds it was told to wait.
        passes: calls that had passed when it started.
    """

    call: Call = field(repr=False)
    started: float
    heard: float
    wait: float
    passes: int


class Refusals:
    """What the last calls of one endpoint came to; see the module.

    Attributes:
        passes: calls that passed so far.
    """

    def __init__(self) -> None:
        self.passes = 0
        self._last: deque[tuple[float, Refusal | None]] = deque(maxlen=_LAST)

    def passed(self, call: Call, now: float) -> Refusal | None:
        """A call was answered, however; its refusal that slows the endpoint now, if one was kept back."""
        self.passes += 1
        self._last.append((now, None))
        kept, call.kept = call.kept, None
        return None if call.alone >= _SUSPECT else kept

    def refused(self, refusal: Refusal) -> list[Refusal]:
        """A try was refused; the refusals that slow the endpoint now, in order: none where this one is not shared."""
        call = refusal.call
        call.kept, call.shared = refusal, self._is_shared(call, refusal.heard)
        call.passes = refusal.passes if call.passes is None else call.passes
        self._last.append((refusal.heard, refusal))
        if not call.shared:
            call.alone += self.passes > call.passes
            return []
        kept = [each for _, each in self._last if each is not None and each.call.kept is each]
        slowing = [each for each in kept if each is refusal or each.call.alone < _SUSPECT]
        for each in slowing:
            each.call.kept = None
        return slowing

    def _is_shared(self, call: Call, now: float) -> bool:
        lately = [each for at, each in self._last if at > now - _LATELY]
        passed = sum(each is None for each in lately)
        others = sum(each is not None and each.call is not call and each.call.alone < _SUSPECT for each in lately)
        return others >= _OTHERS and others + 1 >= _SHARE * (others + 1 + passed)
