"""One retry policy: a model or a brush whose calls take slots, are tried again, and end where nothing will help."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import anyio

from harness import descriptors
from harness.contracts import Brush, Drawing, Drawn, Model, ModelInfo
from harness.errors import BadImage, EndpointDown, Forbidden, HarnessError
from harness.images import inline_image, open_image
from harness.limits.breaker import Breaker
from harness.limits.refusals import OWN, Call
from harness.limits.slots import Endpoints
from harness.types import BLOCKED, Failure, Request, Response

_T = TypeVar("_T")
_COUNTED: ContextVar[Calls | None] = ContextVar("counted", default=None)
_OWN = f"refused {OWN} times while other requests passed"


def _never() -> bool:
    return False


class Meter:
    """Calls of one model or brush: each takes a slot, is tried again for passing reasons, and opens the breaker.

    What a server forbids is the end of a model that has never answered, and else the end of that call alone.

    Args:
        of: model or brush.
        endpoints: whose slots its calls take, and who knows whether it has answered.
        urgent: its calls go before those that are not.
        before: whether it answered in an earlier run; only asked where that matters.

    Attributes:
        breaker: of this model, for who knows which errors to expect.
        endpoint: where its calls take their slots.
    """

    def __init__(
        self, of: Model | Brush, endpoints: Endpoints, *, urgent: bool = False, before: Callable[[], bool] = _never
    ) -> None:
        self._of = of
        self._endpoints = endpoints
        self._before = before
        self._policy = endpoints.policy
        self.breaker = Breaker(of.info.endpoint, endpoints.policy.breaker)
        self.endpoint = endpoints.of(of.info)
        self._urgent = urgent

    @property
    def info(self) -> ModelInfo:
        """The wrapped model's."""
        return self._of.info

    async def call(self, attempt: Callable[[], Awaitable[_T | Failure]]) -> _T | Failure:
        """One call, with retries. Raises HarnessError when nothing will work."""
        tries = throttled = 0
        whole = Call()
        while True:
            self.breaker.check()
            try:
                result = await self._once(attempt, whole)
            except Forbidden as error:
                return self._forbidden(error)
            if not isinstance(result, Failure):
                return result
            throttled += result.throttled
            tries += not result.throttled
            if result.throttled and whole.own:
                return self._final(replace(result, message=f"{result.message} ({_OWN})".strip()))
            if result.throttled and _asked(result) > self._policy.patience:
                return self._final(result)
            spent = tries >= self._policy.tries or throttled >= self._policy.throttled_tries
            if not result.transient or spent:
                return self._final(result)
            await anyio.sleep(self._wait(result, max(tries, throttled), alone=result.throttled and not whole.shared))

    def _forbidden(self, error: Forbidden) -> Failure:
        """The end of this call alone; raises the error where the model has never answered."""
        if not self._endpoints.has_answered(self._of):
            if not self._before():
                raise error
            self._endpoints.answered(self._of)
        return self._final(Failure(outcome="error", reason="forbidden", message=error.what), error.remedy)

    def _final(self, failure: Failure, remedy: str = "") -> Failure:
        if failure.outcome == "error":
            self.breaker.failed(failure, remedy)
        else:
            if failure.outcome in BLOCKED:
                self._endpoints.answered(self._of)
            self._succeeded()
        return failure

    def _succeeded(self, whole: Call | None = None) -> None:
        self.endpoint.succeeded(whole)
        self.breaker.succeeded()

    async def _once(self, attempt: Callable[[], Awaitable[_T | Failure]], whole: Call) -> _T | Failure:
        async with self.endpoint.slot(urgent=self._urgent) as started:
            passes = self.endpoint.passes
            result = await self._within_deadline(attempt)
        self._endpoints.hear(self._of)
        if not isinstance(result, Failure):
            self._endpoints.answered(self._of)
            self._succeeded(whole)
            return result
        too_long = _asked(result) > self._policy.patience
        if result.throttled:
            self.endpoint.refused(whole, started, 0.0 if too_long else _asked(result), passes)
        alone = result.throttled and not whole.shared and self.endpoint.busy
        if too_long and (result.transient or result.throttled) and not alone:
            raise self._down(result)
        return result

    async def _within_deadline(self, attempt: Callable[[], Awaitable[_T | Failure]]) -> _T | Failure:
        seconds = math.inf if self.info.local else self._policy.deadline
        with anyio.move_on_after(seconds):
            return await attempt()
        return Failure(outcome="error", reason="deadline", message=f"no answer in {seconds:g} s", transient=True)

    def _wait(self, failure: Failure, tries: int, *, alone: bool) -> float:
        """Seconds until the next try. Who is refused alone and told when to come again is in nobody's way."""
        asked = _asked(failure)
        base = min(self._policy.base, asked) if alone and asked else self._policy.base
        return max(asked, random.uniform(0, min(self._policy.longest, base * 2 ** (tries - 1))))

    def _down(self, failure: Failure) -> EndpointDown:
        """What to say of a provider that asks to wait longer than anyone would sit by."""
        return EndpointDown(
            f"asked to wait {_asked(failure):.0f} s, which is more than the {self._policy.patience:.0f} s a run waits: "
            f"{failure.reason}: {failure.message}",
            where=self.endpoint.name,
            remedy="run it again after that time: what was answered is kept",
        )


class Metered(Meter):
    """A Model whose calls are metered."""

    def __init__(
        self, model: Model, endpoints: Endpoints, *, urgent: bool = False, before: Callable[[], bool] = _never
    ) -> None:
        super().__init__(model, endpoints, urgent=urgent, before=before)
        self._model = model

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, with retries. Raises HarnessError when nothing will work."""
        counted = _COUNTED.get()
        if counted is not None:
            counted.calls += 1
        return await self.call(lambda: try_once(self._model, request))


@dataclass(slots=True)
class Calls:
    """How often metered models were asked; a call that is tried again is one."""

    calls: int = 0


@contextmanager
def counting() -> Generator[Calls]:
    """Count what the body asks of metered models, also from tasks and threads that it starts.

    A strategy is wrapped once and carries many samples at a time, so only the context tells whose call one is.
    """
    counted = Calls()
    token = _COUNTED.set(counted)
    try:
        yield counted
    finally:
        _COUNTED.reset(token)


class MeteredBrush(Meter):
    """A Brush whose calls are metered; what it gives is an image, or a Failure."""

    def __init__(self, brush: Brush, endpoints: Endpoints, *, before: Callable[[], bool] = _never) -> None:
        super().__init__(brush, endpoints, before=before)
        self._brush = brush

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image, with retries. Raises HarnessError when nothing will work."""
        return await self.call(lambda: draw_once(self._brush, drawing))


async def try_once(model: Model, request: Request) -> Response | Failure:
    """What a model or a strategy answers; what it raises, and what is no answer, fails this sample and not the run.

    Raises HarnessError as the model does: nothing will work.
    """
    return await _kept(model.generate(request), Response, "model")


async def draw_once(brush: Brush, drawing: Drawing) -> Drawn | Failure:
    """What a brush draws; what it raises, and what is no image, fails this drawing alone.

    Raises HarnessError as the brush does: nothing will work.
    """
    drawn = await _kept(brush.draw(drawing), Drawn, "painter")
    if isinstance(drawn, Failure):
        return drawn
    try:
        open_image(inline_image("drawn", drawn.data))
    except BadImage as broken:
        return Failure(outcome="error", reason="broken_image", message=str(broken)[:500], transient=True)
    return drawn


async def _kept(call: Awaitable[_T | Failure], kind: type[_T], what: str) -> _T | Failure:
    try:
        result = cast("object", await call)  # a plugin may break its promise
    except HarnessError:
        raise
    except Exception as error:  # noqa: BLE001 - a model is a plugin
        descriptors.check(error)
        return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:500])
    if isinstance(result, kind | Failure):
        return result
    return Failure(outcome="error", reason="no_answer", message=f"the {what} gave a {type(result).__name__}")


def _asked(failure: Failure) -> float:
    """Seconds the provider asked to wait; 0 where it did not, or asked for no time at all."""
    wait = failure.retry_after or 0.0
    return wait if wait > 0 else 0.0  # NaN is not
