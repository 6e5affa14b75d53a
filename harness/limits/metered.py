"""One retry policy: a model whose calls take slots, are tried again, and end where nothing will help."""

from __future__ import annotations

import math
import random
from typing import cast

import anyio

from harness.contracts import Model, ModelInfo
from harness.errors import EndpointDown, HarnessError
from harness.limits.breaker import Breaker
from harness.limits.slots import Endpoints
from harness.types import Failure, Request, Response


class Metered:
    """A Model whose calls take a slot, are tried again for passing reasons, and open the breaker.

    Attributes:
        breaker: of this model, for who knows which errors to expect.
        endpoint: where its calls take their slots.
    """

    def __init__(self, model: Model, endpoints: Endpoints, *, urgent: bool = False) -> None:
        self._model = model
        self._policy = endpoints.policy
        self.breaker = Breaker(model.info.endpoint, endpoints.policy.breaker)
        self.endpoint = endpoints.of(model.info)
        self._listen = endpoints.listen
        self._urgent = urgent

    @property
    def info(self) -> ModelInfo:
        """The wrapped model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request, with retries. Raises HarnessError when nothing will work."""
        tries = throttled = 0
        while True:
            self.breaker.check()
            result = await self._once(request)
            if isinstance(result, Response):
                return result
            throttled += result.throttled
            tries += not result.throttled
            spent = tries >= self._policy.tries or throttled >= self._policy.throttled_tries
            if not result.transient or spent:
                return self._final(result)
            await anyio.sleep(max(self._backoff(max(tries, throttled)), _asked(result)))

    def _final(self, failure: Failure) -> Failure:
        if failure.outcome == "error":
            self.breaker.failed(failure)
        else:
            self._succeeded()
        return failure

    def _succeeded(self) -> None:
        self.endpoint.succeeded()
        self.breaker.succeeded()

    async def _once(self, request: Request) -> Response | Failure:
        async with self.endpoint.slot(urgent=self._urgent) as started:
            result = await self._within_deadline(request)
        self._listen()
        if isinstance(result, Response):
            self._succeeded()
            return result
        if result.transient or result.throttled:
            self._check_wait(result)
        if result.throttled:
            self.endpoint.throttled(started, _asked(result))
        return result

    async def _within_deadline(self, request: Request) -> Response | Failure:
        seconds = math.inf if self.info.local else self._policy.deadline
        with anyio.move_on_after(seconds):
            return await try_once(self._model, request)
        return Failure(outcome="error", reason="deadline", message=f"no answer in {seconds:g} s", transient=True)

    def _backoff(self, tries: int) -> float:
        return random.uniform(0, min(self._policy.longest, self._policy.base * 2 ** (tries - 1)))

    def _check_wait(self, failure: Failure) -> None:
        """Raise EndpointDown where the provider asks to wait longer than anyone would sit by."""
        wait = _asked(failure)
        if wait > self._policy.patience:
            raise EndpointDown(
                f"asked to wait {wait:.0f} s, which is more than the {self._policy.patience:.0f} s a run waits: "
                f"{failure.reason}: {failure.message}",
                where=self.endpoint.name,
                remedy="run it again after that time: what was answered is kept",
            )


async def try_once(model: Model, request: Request) -> Response | Failure:
    """What a model or a strategy answers; what it raises, and what is no answer, fails this sample and not the run.

    Raises HarnessError as the model does: nothing will work.
    """
    try:
        result = cast("object", await model.generate(request))  # a plugin may break its promise
    except HarnessError:
        raise
    except Exception as error:  # noqa: BLE001 - a model is a plugin
        return Failure(outcome="error", reason=type(error).__name__, message=str(error)[:500])
    if isinstance(result, Response | Failure):
        return result
    return Failure(outcome="error", reason="no_answer", message=f"the model gave a {type(result).__name__}")


def _asked(failure: Failure) -> float:
    """Seconds the provider asked to wait; 0 where it did not, or asked for no time at all."""
    wait = failure.retry_after or 0.0
    return wait if wait > 0 else 0.0  # NaN is not
