"""The one retry policy: wraps a model or a brush so that its calls take slots, are retried, and stop if all fail.

The breaker stops a model that returns only errors before it is asked a hundred thousand times. One breaker watches one
model, not its endpoint: a refused judge must not stop the answers from the same server, and their successes must not
hide that the judge is refused.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

import anyio

from harness import descriptors
from harness.contracts import Model, ModelInfo
from harness.errors import BadImage, EndpointDown, Forbidden, HarnessError, PluginError
from harness.images import inline_image, open_image
from harness.limits.endpoints import Endpoints
from harness.limits.quota import FreeMeter, Meter, Ticket
from harness.limits.throttling import OWN, Call
from harness.limits.tokens import clean_usage
from harness.makers import Brush, Drawing, Drawn
from harness.types import BLOCKED, OUTCOMES, Failure, Request, Response, Usage, add_usage

_T = TypeVar("_T")
_COUNT: ContextVar[CallCount | None] = ContextVar("count", default=None)
_FAILED: Final = frozenset(OUTCOMES) - {"answered", "empty"}
#: reasons of failures after which the provider may have made an answer: it came too late, or could not be read
_LOST: Final = frozenset({"deadline", "timeout", "too_large", "encoding", "not_json", "wrong_shape", "no_candidates"})
_RESPONSE: Final[Mapping[str, type[Any] | tuple[type[Any], ...]]] = {
    "text": str,
    "reasoning": str,
    "flags": (frozenset, set),
    "usage": Usage,
    "model": str,
    "choices": Mapping,
    "notes": (tuple, list),
    "steps": Mapping,
}
_FAILURE: Final[Mapping[str, type[Any] | tuple[type[Any], ...]]] = {
    "reason": str,
    "message": str,
    "text": str,
    "retry_after": (int, float, type(None)),
    "usage": Usage,
    "model": str,
    "steps": Mapping,
}


#: fields that hold texts alone; `choices` by their names
_TEXTS: Final = ("flags", "notes", "choices", "steps")


class Breaker:
    """Counts errors in a row, of any kind; a success resets the count.

    Args:
        where: the endpoint, for the error message.
        most: number of errors that opens it.
    """

    def __init__(self, where: str, most: int) -> None:
        self._where = where
        self._most = most
        self._count = 0
        self._reasons: dict[str, None] = {}
        self._last = ""
        self._remedy = ""
        self._expected = Counter[str]()

    @contextmanager
    def expect(self, reason: str) -> Generator[None]:
        """While the body repeats a call that failed for this reason in an earlier run, such errors do not count.

        A repeated failure says nothing new about the endpoint: a resumed run may consist only of requests that it
        refuses, and they must not open the breaker. New calls' errors with this reason do not count either, until no
        repetition runs. An empty reason expects nothing.
        """
        self._expected[reason] += 1
        try:
            yield
        finally:
            self._expected[reason] -= 1
            self._expected += Counter[str]()  # drops reasons with count 0

    def record_success(self) -> None:
        """Record that a call was answered, whatever the answer."""
        self._count = 0
        self._reasons = {}

    def record_failure(self, failure: Failure, remedy: str = "") -> None:
        """Count a call that failed after all tries; `remedy` may fix it. Raises EndpointDown at the error limit."""
        if failure.reason and self._expected[failure.reason]:
            return
        self._count += 1
        self._reasons[failure.reason] = None
        self._last, self._remedy = f"{failure.reason}: {failure.message}", remedy
        self.check()

    def check(self) -> None:
        """Raise EndpointDown if the breaker is open."""
        if self._count >= self._most:
            several = f" ({', '.join(self._reasons)}), at last" if len(self._reasons) > 1 else ""
            what = f"{self._count} errors in a row{several}: {self._last}"
            raise EndpointDown(what, where=self._where, remedy=self._remedy)


class MeteredCalls:
    """Calls of one model or brush: each takes a slot, is retried after temporary errors, and feeds the breaker.

    If a server forbids a call of a model that has never answered, the model has failed; else only that call has.

    Args:
        of: the model or brush.
        endpoints: provide the slots, and know whether it has answered.
        urgent: whether its calls go before others.
        before: whether it answered in an earlier run; called only if needed.
        meter: weighs its calls and learns what they took; None counts no dollars.

    Attributes:
        breaker: this model's breaker; the engine sets which errors it expects.
        endpoint: provides the slots of its calls.
    """

    def __init__(
        self,
        of: Model | Brush,
        endpoints: Endpoints,
        *,
        urgent: bool = False,
        before: Callable[[], bool] = lambda: False,
        meter: Meter | None = None,
    ) -> None:
        self._of = of
        self._meter = meter or FreeMeter()
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

    async def call(
        self, attempt: Callable[[], Awaitable[_T | Failure]], request: Request | None = None
    ) -> _T | Failure:
        """Make one call, with retries. Raises HarnessError if no call can succeed.

        Args:
            attempt: makes one try.
            request: what a model is asked; None for a brush, whose calls are not weighed.
        """
        tries = throttled = 0
        call = Call()
        while True:
            self.breaker.check()
            try:
                result = await self._try(attempt, call, request)
            except Forbidden as error:
                if not self._endpoints.has_answered(self._of):
                    if not self._before():
                        raise
                    self._endpoints.mark_answered(self._of)
                return self._end(Failure(outcome="error", reason="forbidden", message=error.what), error.remedy)
            if not isinstance(result, Failure):
                return result
            throttled += result.throttled
            tries += not result.throttled
            if result.throttled and call.own:
                why = f"{result.message} (refused {OWN} times while other requests passed)"
                return self._end(replace(result, message=why.strip()))
            wait = _get_wait(result)
            if result.throttled and wait > self._policy.patience:
                return self._end(result)
            if not result.transient or tries >= self._policy.tries or throttled >= self._policy.throttled_tries:
                return self._end(result)
            base = self._policy.base
            if result.throttled and not call.shared and wait:
                base = min(base, wait)  # refused alone, with a known wait: it delays no other call
            backoff = min(self._policy.longest, base * 2 ** (max(tries, throttled) - 1))
            await anyio.sleep(max(wait, random.uniform(0, backoff)))

    async def _try(
        self, attempt: Callable[[], Awaitable[_T | Failure]], call: Call, request: Request | None
    ) -> _T | Failure:
        """Make one try in a slot. Raises EndpointDown if the provider asks for too long a wait, BudgetSpent."""
        ticket = Ticket() if request is None else Ticket(self._meter.weigh(request).tokens)
        async with (
            self.endpoint.slot(urgent=self._urgent, ticket=ticket) as entered,
            self._hold_dollars(request) as heard,
        ):
            started, passes = max(entered, time.monotonic()), self.endpoint.passes
            seconds = math.inf if self.info.local else self._policy.deadline
            result: _T | Failure = Failure(
                outcome="error", reason="deadline", message=f"no answer in {seconds:g} s", transient=True
            )
            with anyio.move_on_after(seconds):
                result = await attempt()
            if isinstance(result, Response | Failure):
                heard.append(result)
                counts = clean_usage(result.usage)
                took = counts.input_tokens + counts.output_tokens
                if took or (isinstance(result, Failure) and result.throttled):  # else the provider does not count
                    ticket.tokens = took
        self._endpoints.hear(self._of)
        if not isinstance(result, Failure):
            self._endpoints.mark_answered(self._of)
            self.endpoint.record_success(call)
            self.breaker.record_success()
            return result
        wait = _get_wait(result)
        too_long = wait > self._policy.patience
        if result.throttled:
            self.endpoint.record_refusal(call, started, 0.0 if too_long else wait, passes)
        alone = result.throttled and not call.shared and self.endpoint.busy
        if too_long and (result.transient or result.throttled) and not alone:
            raise EndpointDown(
                f"asked to wait {wait:.0f} s; a run waits at most {self._policy.patience:.0f} s: "
                f"{result.reason}: {result.message}",
                where=self.endpoint.name,
                remedy="run it again after that time: stored answers are kept",
            )
        return result

    @asynccontextmanager
    async def _hold_dollars(self, request: Request | None) -> AsyncGenerator[list[Response | Failure]]:
        """Hold the most dollars of one try while the body makes it and appends its result. Raises BudgetSpent.

        It is weighed in its slot, not in the queue: there the dearest call so far, and what the model adds to an
        answer, are known best. It waits only for calls on the wire, which have their slots and need nothing else.
        """
        heard: list[Response | Failure] = []
        if request is None:
            yield heard
            return
        load = self._meter.weigh(request, self.info.thinking_tokens)
        await self._meter.hold(load)
        try:
            yield heard
        except Exception:  # it was never sent, or was refused
            self._meter.settle(load, None)
            raise
        except BaseException:  # given up on the wire
            self._meter.lose(load, request, self.info.thinking_tokens)
            raise
        answer = heard[0] if heard else None
        if is_lost(answer):
            self._meter.lose(load, request, self.info.thinking_tokens)
        elif answer is None:
            self._meter.settle(load, None)
        else:
            answered = isinstance(answer, Response) or bool(answer.text)
            self._meter.settle(load, answer.usage, answer.model, answered=answered)

    def _end(self, failure: Failure, remedy: str = "") -> Failure:
        """Count a call that failed after all tries. Raises EndpointDown at the error limit."""
        if failure.outcome == "error":
            self.breaker.record_failure(failure, remedy)
            return failure
        if failure.outcome in BLOCKED:
            self._endpoints.mark_answered(self._of)
        self.endpoint.record_success()
        self.breaker.record_success()
        return failure


class Metered(MeteredCalls):
    """A Model whose calls are metered."""

    def __init__(
        self,
        model: Model,
        endpoints: Endpoints,
        *,
        urgent: bool = False,
        before: Callable[[], bool] = lambda: False,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(model, endpoints, urgent=urgent, before=before, meter=meter)
        self._model = model

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, with retries. Raises HarnessError if no call can succeed."""
        count = _COUNT.get()
        if count is not None:
            count.calls += 1
        result = await self._ask(request)
        if count is not None:
            count.usage = add_usage(count.usage, clean_usage(result.usage))
        return result

    async def _ask(self, request: Request) -> Response | Failure:
        return await self.call(lambda: try_once(self._model, request), request)


class MeteredBrush(MeteredCalls):
    """A Brush whose calls are metered; it returns an image or a Failure."""

    def __init__(self, brush: Brush, endpoints: Endpoints, *, before: Callable[[], bool] = lambda: False) -> None:
        super().__init__(brush, endpoints, before=before)
        self._brush = brush

    async def draw(self, drawing: Drawing) -> Drawn | Failure:
        """Draw one image, with retries. Raises HarnessError if no call can succeed."""
        return await self.call(lambda: draw_once(self._brush, drawing))


@dataclass(slots=True)
class CallCount:
    """How often metered models were asked, and the tokens of their replies; a call with its retries counts once."""

    calls: int = 0
    usage: Usage = Usage()


@contextmanager
def count_calls() -> Generator[CallCount]:
    """Count the body's calls of metered models, also in tasks and threads that it starts.

    One strategy handles many samples at a time, so only the context shows which sample a call is for.
    """
    count = CallCount()
    token = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(token)


async def try_once(model: Model, request: Request) -> Response | Failure:
    """Ask a model or a strategy; an exception or an invalid answer fails this sample, not the run.

    Raises the model's HarnessError if no call can succeed.
    """
    return await _catch_failures(model.generate(request), Response, "model")


async def draw_once(brush: Brush, drawing: Drawing) -> Drawn | Failure:
    """Ask a brush for a drawing; an exception or an invalid image fails only this drawing.

    Raises the brush's HarnessError if no call can succeed.
    """
    drawn = await _catch_failures(brush.draw(drawing), Drawn, "painter")
    if isinstance(drawn, Failure):
        return drawn
    try:
        open_image(inline_image("drawn", drawn.data))
    except BadImage as broken:
        return Failure(outcome="error", reason="broken_image", message=str(broken)[:500], transient=True)
    return drawn


async def _catch_failures(call: Awaitable[_T | Failure], kind: type[_T], what: str) -> _T | Failure:
    try:
        result = cast("object", await call)  # a plugin may break its promise
    except PluginError as error:
        descriptors.check(error)
        said = error.said.removeprefix(f"{error.kind}: ") if error.kind else f"the {what}: {error.said}"
        return Failure(outcome="error", reason=error.kind or "no_answer", message=(error.in_sample or said)[:500])
    except HarnessError:
        raise
    except Exception as error:  # noqa: BLE001 - a model is a plugin
        descriptors.check(error)
        return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:500])
    if isinstance(result, kind) and not isinstance(result, Response):
        return result
    if why := explain_bad_answer(result, kind):
        return Failure(outcome="error", reason="no_answer", message=f"the {what}: {why}")
    return cast("_T | Failure", result)


def is_lost(result: object) -> bool:
    """Whether a call has failed after which the provider may have made an answer, and may bill it."""
    return isinstance(result, Failure) and result.reason in _LOST and not result.text and result.usage == Usage()


def explain_bad_answer(answer: object, kind: type[object] = Response) -> str:
    """Why a value is neither of this kind nor a valid Failure; empty if it is one.

    Numbers are not checked: `harness.store` replaces those that JSON cannot hold.
    """
    if isinstance(answer, Response) and kind is Response:
        types = _RESPONSE
    elif isinstance(answer, Failure):
        if answer.outcome not in _FAILED:
            return f"it returned a Failure whose outcome is {answer.outcome!r:.100}"
        types = _FAILURE
    else:
        return (
            f"it returned {'None' if answer is None else f'a {type(answer).__name__}'}, not {kind.__name__} or Failure"
        )
    for name, wanted in types.items():
        value: object = getattr(answer, name)
        if not isinstance(value, wanted):
            return f"it returned a {type(answer).__name__} whose {name} is {value!r:.100}"
    for name in _TEXTS:
        held = cast("Any", getattr(answer, name, ()))
        texts = [each for pair in held.items() for each in pair] if name == "steps" else list(held)
        if odd := [each for each in texts if not isinstance(each, str)]:
            return f"it returned a {type(answer).__name__} whose {name} hold {odd[0]!r:.100}, not a text"
    return ""


def _get_wait(failure: Failure) -> float:
    """Seconds that the provider asked to wait; 0 for none."""
    wait = failure.retry_after or 0.0
    return wait if wait > 0 else 0.0  # NaN gives 0
