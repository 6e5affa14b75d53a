"""What the calls of a build took: by step and role, in this invocation and in all, and how much is allowed.

What was spent is counted when a call returns and stays counted where the call is deleted later, or was never kept. A
limit counts what earlier invocations spent too. A call is counted from its start, so that calls at once do not pass
`most_calls` together; what a call costs is known only after it, so `most_usd` is passed by what is on the wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from harness import HarnessError, Usage
from harness.types import add_usage
from harness_builder.config.plan import Plan, Wanted
from harness_builder.values import Step

from .kept import PAINTER, Spent, Who

_MILLION: Final = 1_000_000
_REMEDY: Final = "raise `limits` and run it again: what was made is kept"
Place = tuple[Step, Who]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
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
    role: Who
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
    spent: dict[Place, Entry] = field(default_factory=dict[Place, Entry])

    def add(self, more: Spent) -> None:
        place = more.step, more.role
        found = self.spent.get(place) or Entry(step=more.step, role=more.role)
        usage, images = add_usage(found.usage, more.usage), found.images + more.images
        self.spent[place] = replace(
            found,
            made=found.made + more.calls,
            usage=usage,
            images=images,
            seconds=found.seconds + more.seconds,
            models=tuple(dict.fromkeys((*found.models, *([more.model] if more.model else [])))),
            usd=cost(wanted(self.plan, more.role), usage, images),
        )

    @property
    def calls(self) -> int:
        return sum(each.made for each in self.spent.values())

    @property
    def usd(self) -> float:
        return sum(each.usd or 0.0 for each in self.spent.values())


class Ledger:
    """See the module.

    Args:
        plan: with prices and limits.
        past: what earlier invocations spent.
        tell: given a line where a limit in dollars does not see all models.

    Raises:
        HarnessError: a limit in dollars, and no price is told.
    """

    def __init__(self, plan: Plan, past: Iterable[Spent], tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._now, self._ever = _Sums(plan), _Sums(plan)
        self._taken = Counter[Place]()
        self._flying = 0
        for spent in past:
            self._ever.add(spent)
        if plan.most_usd is not None:
            _check_prices(plan, tell)

    @contextmanager
    def call(self) -> Generator[None]:
        """One call. Raises HarnessError where a limit does not allow it."""
        most, dollars = self._plan.most_calls, self._plan.most_usd
        if most is not None and self._ever.calls + self._flying >= most:
            raise HarnessError(f"the limit of {most:,} calls is reached", remedy=_REMEDY)
        if dollars is not None and self._ever.usd >= dollars:
            raise HarnessError(f"the limit of {dollars:,.2f} US dollars is reached", remedy=_REMEDY)
        self._flying += 1
        try:
            yield
        finally:
            self._flying -= 1

    def spent(self, spent: Spent) -> None:
        """A call returned."""
        self._now.add(spent)
        self._ever.add(spent)

    def taken(self, step: Step, role: Who) -> None:
        """An answer came from the build's past."""
        self._taken[step, role] += 1

    @property
    def made(self) -> int:
        """Calls of this invocation."""
        return self._now.calls

    def entries(self) -> tuple[Entry, ...]:
        """Of this invocation, by step and role."""
        places = sorted({*self._now.spent, *self._taken})
        blank = {place: Entry(step=place[0], role=place[1]) for place in places}
        return tuple(replace((blank | self._now.spent)[place], taken=self._taken[place]) for place in places)

    def ever(self) -> tuple[Entry, ...]:
        """Of all invocations of the build; what was taken from the past is not counted."""
        return tuple(self._ever.spent[place] for place in sorted(self._ever.spent))


def wanted(plan: Plan, role: Who) -> Wanted:
    """The model of a role, or the painter."""
    return plan.painter if role == "painter" else plan.model(role)


def cost(of: Wanted, usage: Usage, images: int) -> float | None:
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


def _all(plan: Plan) -> Iterator[Wanted]:
    yield from plan.models.values()
    yield wanted(plan, PAINTER)
