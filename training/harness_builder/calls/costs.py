"""Counts the usage of a build's calls by step and role, in this invocation and in all, and enforces the limits.

Usage is counted when a call returns. It stays counted if the call is deleted later or was never stored. A limit counts
earlier invocations too. A call counts from its start, so that parallel calls do not pass a limit together. Its price is
known only when it returns. Until then it counts as the dearest returned call of its kind (a role in a step). While the
price of a kind is unknown, at most one more call of it is on the wire than have returned. So `most_usd` is exceeded
only by what calls on the wire cost above all earlier ones of their kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import anyio

from harness import HarnessError, Usage
from harness.types import add_usage
from harness_builder.plan import ModelChoice, Plan
from harness_builder.values import Step

from .results import PAINTER, CallRole, CallUsage

_MILLION: Final = 1_000_000
_ROUNDING: Final = 1e-9  # dollars by which sums of the same prices may differ
_REMEDY: Final = "raise `limits` and run it again: finished calls are kept"
Kind = tuple[Step, CallRole]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCosts:
    """The usage of one role in one step.

    Attributes:
        step, role: whose usage this is.
        made: calls.
        taken: always 0; a key of build.json.
        usage: tokens.
        images: drawn images.
        seconds: from request to reply, over all calls.
        models: names that providers reported.
        usd: US dollars; None without a price.
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


class CostTracker:
    """Counts calls and enforces limits; see the module.

    Args:
        plan: with prices and limits.
        past: usage of earlier invocations.
        tell: gets a line if a model without a price escapes the dollar limit.

    Raises:
        HarnessError: there is a limit in dollars, and no price.
    """

    def __init__(self, plan: Plan, past: Iterable[CallUsage], tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._costs: dict[Kind, RoleCosts] = {}
        self._on_wire = Counter[Kind]()
        self._returned = Counter[Kind]()
        self._dearest: dict[Kind, float] = {}
        self._any_returned: anyio.Event | None = None
        for each in past:
            self.add(each)
        self._past_calls = self._calls
        if plan.most_usd is not None:
            choices = (*plan.models.values(), plan.painter)
            unpriced = sorted({each.ref for each in choices if not each.price})
            if len(unpriced) == len({each.ref for each in choices}):
                what = "a limit in US dollars is set, but no model has a price"
                raise HarnessError(what, remedy="set `price` for the models and the painter, or remove the limit")
            if unpriced:
                named = ", ".join(unpriced)
                tell(f"{named} have no price: the limit in US dollars does not count them")

    @asynccontextmanager
    async def call(self, step: Step, role: CallRole) -> AsyncGenerator[None]:
        """Make one call in the body, and `add` its usage. If calls on the wire may use up the remaining dollars,
        this waits for one of them to return.

        Raises:
            HarnessError: a limit does not allow it.
        """
        kind = step, role
        while not self._is_allowed(kind):
            if self._any_returned is None:
                self._any_returned = anyio.Event()
            await self._any_returned.wait()
        self._on_wire[kind] += 1
        try:
            yield
        finally:
            self._on_wire[kind] -= 1
            self._returned[kind] += 1
            if self._any_returned is not None:
                self._any_returned.set()
                self._any_returned = None

    def add(self, more: CallUsage) -> None:
        """Count a call that returned."""
        kind = more.step, more.role
        found = self._costs.get(kind) or RoleCosts(step=more.step, role=more.role)
        usage, images = add_usage(found.usage, more.usage), found.images + more.images
        choice = model_of(self._plan, more.role)
        self._costs[kind] = replace(
            found,
            made=found.made + more.calls,
            usage=usage,
            images=images,
            seconds=found.seconds + more.seconds,
            models=tuple(dict.fromkeys((*found.models, *([more.model] if more.model else [])))),
            usd=compute_cost(choice, usage, images),
        )
        usd = compute_cost(choice, more.usage, more.images)
        if usd and more.calls:
            self._dearest[kind] = max(self._dearest.get(kind, 0.0), usd / more.calls)

    @property
    def made(self) -> int:
        """Calls of this invocation."""
        return self._calls - self._past_calls

    def of_all_invocations(self) -> tuple[RoleCosts, ...]:
        """Usage by step and role, earlier invocations included."""
        return tuple(self._costs[kind] for kind in sorted(self._costs))

    @property
    def _calls(self) -> int:
        return sum(each.made for each in self._costs.values())

    def _is_allowed(self, kind: Kind) -> bool:
        """Whether a call may go out now; False if that depends on calls on the wire."""
        most, dollars = self._plan.most_calls, self._plan.most_usd
        if most is not None and self._calls + self._on_wire.total() >= most:
            raise HarnessError(f"the limit of {most:,} calls is reached", remedy=_REMEDY)
        if dollars is None:
            return True
        left = dollars - sum(each.usd or 0.0 for each in self._costs.values())
        reached = f"the limit of {dollars:,.2f} US dollars is reached"
        if left <= 0:
            raise HarnessError(reached, remedy=_REMEDY)
        if not model_of(self._plan, kind[1]).price:
            return True
        price = self._find_known_price(kind)
        on_wire = {each: number for each, number in self._on_wire.items() if number}
        if not price:
            return on_wire.get(kind, 0) <= self._returned[kind]
        left -= sum(number * self._find_known_price(each) for each, number in on_wire.items())
        if price <= left + _ROUNDING:
            return True
        if not any(model_of(self._plan, role).price for _, role in on_wire):
            what = f"{reached}: {left:,.4f} are left, and one more call of the {kind[1]} may take {price:,.4f}"
            raise HarnessError(what, remedy=_REMEDY)
        return False

    def _find_known_price(self, kind: Kind) -> float:
        """Dollars of a call if known before it is made; else 0."""
        drawing = self._plan.painter.price.get("image", 0.0) if kind[1] == PAINTER else 0.0
        return max(self._dearest.get(kind, 0.0), drawing)


def model_of(plan: Plan, role: CallRole) -> ModelChoice:
    """The model of a role, or the painter."""
    return plan.painter if role == "painter" else plan.model(role)


def compute_cost(choice: ModelChoice, usage: Usage, images: int) -> float | None:
    """US dollars; None without a price."""
    if not choice.price:
        return None
    price: Mapping[str, float] = {"input": 0.0, "output": 0.0, "image": 0.0, **choice.price}
    tokens = usage.input_tokens * price["input"] + usage.output_tokens * price["output"]
    return tokens / _MILLION + images * price["image"]
