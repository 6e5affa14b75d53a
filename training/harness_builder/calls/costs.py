"""What the calls of a build took: by step and role, in this invocation and in all, and how much is allowed.

What was spent is counted when a call returns and stays counted where the call is deleted later, or was never kept. A
limit counts what earlier invocations spent too. A call is counted from its start, so that calls at once do not pass a
limit together. What it costs is known only after it: until then it counts in dollars as the dearest of its kind, a role
in a step, that came back so far. Of a kind whose price is not known yet no more go out than came back, and one. So
`most_usd` is passed by no more than what calls on the wire cost more than any of their kind before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import anyio

from harness import HarnessError, Usage
from harness.types import add_usage
from harness_builder.calls.results import PAINTER, CallRole, CallUsage
from harness_builder.plan import ModelChoice, Plan
from harness_builder.values import Step

_MILLION: Final = 1_000_000
_ROUNDING: Final = 1e-9  # dollars by which sums of the same prices may differ
_REMEDY: Final = "raise `limits` and run it again: what was made is kept"
Place = tuple[Step, CallRole]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCosts:
    """What one role took in one step.

    Attributes:
        step, role: which.
        made: calls.
        taken: answers that came from the build's past instead.
        usage: tokens.
        images: that were drawn.
        seconds: from request to reply, over all calls.
        models: names that providers reported.
        usd: US dollars; None where no price is told.
    """

    step: Step
    role: CallRole
    made: int = 0
    taken: int = 0
    usage: Usage = Usage()
    images: int = 0
    seconds: float = 0.0
    models: tuple[str, ...] = ()
    usd: float | None = None


@dataclass(slots=True)
class _Sums:
    """Calls, added up as they come."""

    plan: Plan
    spent: dict[Place, RoleCosts] = field(default_factory=dict[Place, RoleCosts])

    def add(self, more: CallUsage) -> None:
        place = more.step, more.role
        found = self.spent.get(place) or RoleCosts(step=more.step, role=more.role)
        usage, images = add_usage(found.usage, more.usage), found.images + more.images
        self.spent[place] = replace(
            found,
            made=found.made + more.calls,
            usage=usage,
            images=images,
            seconds=found.seconds + more.seconds,
            models=tuple(dict.fromkeys((*found.models, *([more.model] if more.model else [])))),
            usd=cost(model_of(self.plan, more.role), usage, images),
        )

    @property
    def calls(self) -> int:
        return sum(each.made for each in self.spent.values())

    @property
    def usd(self) -> float:
        return sum(each.usd or 0.0 for each in self.spent.values())


class CostTracker:
    """See the module.

    Args:
        plan: with prices and limits.
        past: what earlier invocations spent.
        tell: given a line where a limit in dollars does not see all models.

    Raises:
        HarnessError: a limit in dollars, and no price is told.
    """

    def __init__(self, plan: Plan, past: Iterable[CallUsage], tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._now, self._ever = _Sums(plan), _Sums(plan)
        self._taken = Counter[Place]()
        self._flying = Counter[Place]()
        self._returned = Counter[Place]()
        self._dearest: dict[Place, float] = {}
        self._any_returned: anyio.Event | None = None
        for spent in past:
            self._ever.add(spent)
            self._learn(spent)
        if plan.most_usd is not None:
            _check_prices(plan, tell)

    @asynccontextmanager
    async def call(self, step: Step, role: CallRole) -> AsyncGenerator[None]:
        """One call; `spent` belongs inside. Where what is on the wire may use up the dollars that are left, it waits
        for some of it to come back.

        Raises:
            HarnessError: a limit does not allow it.
        """
        place = step, role
        while not self._allowed(place):
            if self._any_returned is None:
                self._any_returned = anyio.Event()
            await self._any_returned.wait()
        self._flying[place] += 1
        try:
            yield
        finally:
            self._flying[place] -= 1
            self._returned[place] += 1
            if self._any_returned is not None:
                self._any_returned.set()
                self._any_returned = None

    def spent(self, spent: CallUsage) -> None:
        """A call returned."""
        self._now.add(spent)
        self._ever.add(spent)
        self._learn(spent)

    def _learn(self, spent: CallUsage) -> None:
        usd = cost(model_of(self._plan, spent.role), spent.usage, spent.images)
        if usd and spent.calls:
            place = spent.step, spent.role
            self._dearest[place] = max(self._dearest.get(place, 0.0), usd / spent.calls)

    def _allowed(self, place: Place) -> bool:
        """Whether a call may go out now; not yet where that depends on what is on the wire."""
        most, dollars = self._plan.most_calls, self._plan.most_usd
        if most is not None and self._ever.calls + self._flying.total() >= most:
            raise HarnessError(f"the limit of {most:,} calls is reached", remedy=_REMEDY)
        if dollars is None:
            return True
        left, reached = dollars - self._ever.usd, f"the limit of {dollars:,.2f} US dollars is reached"
        if left <= 0:
            raise HarnessError(reached, remedy=_REMEDY)
        if not model_of(self._plan, place[1]).price:
            return True
        price, flying = self._price(place), {each: number for each, number in self._flying.items() if number}
        if not price:
            return flying.get(place, 0) <= self._returned[place]
        left -= sum(number * self._price(each) for each, number in flying.items())
        if price <= left + _ROUNDING:
            return True
        if not any(model_of(self._plan, role).price for _, role in flying):
            what = f"{reached}: {left:,.4f} are left, and one more call of the {place[1]} may take {price:,.4f}"
            raise HarnessError(what, remedy=_REMEDY)
        return False

    def _price(self, place: Place) -> float:
        """Of a call as far as it is known before it; 0 where nothing is."""
        drawing = self._plan.painter.price.get("image", 0.0) if place[1] == PAINTER else 0.0
        return max(self._dearest.get(place, 0.0), drawing)

    def taken(self, step: Step, role: CallRole) -> None:
        """An answer came from the build's past."""
        self._taken[step, role] += 1

    @property
    def made(self) -> int:
        """Calls of this invocation."""
        return self._now.calls

    def entries(self) -> tuple[RoleCosts, ...]:
        """Of this invocation, by step and role."""
        places = sorted({*self._now.spent, *self._taken})
        blank = {place: RoleCosts(step=place[0], role=place[1]) for place in places}
        return tuple(replace((blank | self._now.spent)[place], taken=self._taken[place]) for place in places)

    def ever(self) -> tuple[RoleCosts, ...]:
        """Of all invocations of the build; what was taken from the past is not counted."""
        return tuple(self._ever.spent[place] for place in sorted(self._ever.spent))


def model_of(plan: Plan, role: CallRole) -> ModelChoice:
    """The model of a role, or the painter."""
    return plan.painter if role == "painter" else plan.model(role)


def cost(of: ModelChoice, usage: Usage, images: int) -> float | None:
    """US dollars; None where no price is told."""
    if not of.price:
        return None
    price: Mapping[str, float] = {"input": 0.0, "output": 0.0, "image": 0.0, **of.price}
    tokens = usage.input_tokens * price["input"] + usage.output_tokens * price["output"]
    return tokens / _MILLION + images * price["image"]


def _check_prices(plan: Plan, tell: Callable[[str], None]) -> None:
    unpriced = sorted({each.ref for each in _all(plan) if not each.price})
    if len(unpriced) == len({each.ref for each in _all(plan)}):
        what = "a limit in US dollars is set, and no price is told"
        raise HarnessError(what, remedy="give `price` to the models and the painter, or leave the limit out")
    if unpriced:
        tell(f"no price is told of {', '.join(unpriced)}: the limit in US dollars does not count what they take")


def _all(plan: Plan) -> Iterator[ModelChoice]:
    yield from plan.models.values()
    yield model_of(plan, PAINTER)
