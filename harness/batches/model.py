"""A model whose requests are asked in batches, and the scope in which a sample's requests are known by their place.

A request is known by whose it is (the sample's key, the epoch, the judge), by what it asks, and by how many equal ones
came before it there. So a strategy, a rubric of several rounds and a second try find their earlier answers again in
each walk. Nothing of this depends on the time, on the order of samples or on the process. A rubric draws its markers
anew for each call; they are no part of what is asked.

A sample that has to wait is cancelled once all its calls wait: calls that a strategy or a rubric makes at once go into
one batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

import anyio
import anyio.lowlevel

from harness.batches.log import NAME, WHO
from harness.batches.queue import BatchQueue, Channel, NoResult, TooLargeForBatch
from harness.contracts import Model
from harness.http.batching import BatchAnswer, find_call, turn_aside
from harness.keys import canonical, request_to_json
from harness.limits.endpoints import Endpoints
from harness.limits.metered import Metered, is_lost
from harness.limits.quota import Meter
from harness.limits.throttling import Call
from harness.rubric.templates import find_markers, strip_markers
from harness.types import Failure, Request, Response

if TYPE_CHECKING:
    from harness.http import Body

_T = TypeVar("_T")
_ROUNDS: Final = 8  #: turns of the loop that other calls of a sample get to begin


class Asker:
    """Whose requests are asked: one sample's answer, or one judge's verdict on it.

    Attributes:
        scope: text that tells it from all others.
        pending: whether one of its requests waits for a batch.
    """

    def __init__(self, scope: str, cancel: anyio.CancelScope) -> None:
        self.scope = scope
        self.pending = False
        self._cancel = cancel
        self._asked = Counter[str]()
        self._active = 0
        self._waiting = 0
        self._moves = 0
        self._moved = anyio.Event()

    def place(self, request: Request) -> str:
        """The place of a request: what it asks, and how many equal ones came before."""
        asked = sha256(canonical(request_to_json(strip_markers(request))).encode("utf-8", "surrogatepass")).hexdigest()
        self._asked[asked] += 1
        return f"{self.scope}\0{asked}\0{self._asked[asked]}"

    @contextmanager
    def count_call(self) -> Generator[None]:
        """While the body runs, a call of this asker is on its way."""
        self._active += 1
        self._move()
        try:
            yield
        finally:
            self._active -= 1
            self._move()

    async def wait(self) -> None:
        """End here: when all calls wait, the asker is cancelled."""
        self.pending = True
        self._waiting += 1
        self._move()
        try:
            while True:
                seen = self._moves
                for _ in range(_ROUNDS):
                    await anyio.lowlevel.checkpoint()
                if seen == self._moves:
                    if self._waiting == self._active:
                        self._cancel.cancel()
                    await self._moved.wait()
        finally:
            self._waiting -= 1

    def _move(self) -> None:
        self._moves += 1
        self._moved.set()
        self._moved = anyio.Event()


_ASKER: ContextVar[Asker | None] = ContextVar("whose requests are asked in batches", default=None)


@dataclass(frozen=True, slots=True)
class _Live:
    """Stands for the asker where all is asked live."""

    pending: bool = False


_LIVE: Final = _Live()


@contextmanager
def ask_in_batches(queue: BatchQueue | None, *scope: object) -> Generator[Asker | _Live]:
    """Let the batched models that the body asks know whose requests they are.

    The body ends early, without an error, if it has to wait: then the asker is `pending`. Without a queue all is live.
    """
    if queue is None:
        yield _LIVE
        return
    with anyio.CancelScope() as cancel:
        asker = Asker("\0".join(map(str, scope)), cancel)
        token = _ASKER.set(asker)
        try:
            yield asker
        finally:
            _ASKER.reset(token)


class _BatchedCall:
    """The attempts at one request, in order; see `harness.http.batching.BatchCall`."""

    def __init__(
        self, queue: BatchQueue, channel: Channel, asker: Asker, request: Request, bound: Callable[[], Decimal | None]
    ) -> None:
        self._queue = queue
        self._channel = channel
        self._asker = asker
        self.place = asker.place(request)
        self._markers = sorted(marker.encode() for marker in find_markers(request))
        self._images = [image for image in request.images if image.content is not None]
        self._attempts = 0
        self._bound = bound
        self.answered = False
        self.taken: list[str] = []  # whose answers this attempt has taken

    async def take(self, body: Body) -> BatchAnswer:
        """The answer to the next attempt. Raises as `BatchQueue.add`, and waits if there is none yet."""
        content = bytes(body)
        bare = content
        for marker in self._markers:
            bare = bare.replace(marker, b"")
        said = sha256(bare).hexdigest()[: NAME - WHO]
        while True:
            whose = sha256(f"{self._channel.name}\0{self.place}\0{self._attempts}".encode()).hexdigest()[:WHO]
            self._attempts += 1
            found = self._queue.log.find(whose)
            if found is None:
                break
            answer, asked = found
            # a refusal speaks of the parameters that were sent; they may have been left out since
            if answer.status < 300 or asked == said:
                self.answered = True
                self.taken.append(whose)
                return answer
        name, what = whose + said, ""
        if self._images:
            largest = max(self._images, key=lambda image: len(image.opened.data))
            what = f" (its largest image, {largest.path}, {len(largest.opened.data) / 1e6:.3g} MB)"
        packed = self._channel.side.pack(name, body)
        await self._queue.add(self._channel, name, packed, what, self._bound())
        await self._asker.wait()
        raise AssertionError("unreachable")


class BatchedModel(Metered):
    """A Model whose requests go through a batch queue; calls outside of `ask_in_batches` are live.

    The tries of a call are those of a live one, each in a batch of its own. No slot is taken and nothing is waited for.

    Args:
        model: a model with a batch side.
        endpoints: as of `Metered`.
        queue: keeps the batches.
        channel: of this model.
        urgent: as of `Metered`.
        before: as of `Metered`.
        meter: as of `Metered`; a request of a batch is counted when its answer is first read.
    """

    def __init__(
        self,
        model: Model,
        endpoints: Endpoints,
        queue: BatchQueue,
        channel: Channel,
        *,
        urgent: bool = False,
        before: Callable[[], bool] = lambda: False,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(model, endpoints, urgent=urgent, before=before, meter=meter)
        self._queue = queue
        self._channel = channel
        self._live = Metered(model, endpoints, urgent=urgent, before=before, meter=meter)
        self._live.breaker = self.breaker
        self._policy = replace(self._policy, base=0.0, longest=0.0)

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request from a batch, or let its sample wait for one."""
        asker = _ASKER.get()
        if asker is None:
            return await self._live.generate(request)
        # asked each time: what the model adds to an answer, and the dearest call so far, are learnt as it answers
        call = _BatchedCall(
            self._queue, self._channel, asker, request, lambda: self._meter.bound(request, self.info.thinking_tokens)
        )
        with asker.count_call(), turn_aside(call):
            return await super().generate(request)

    async def _ask(self, request: Request) -> Response | Failure:
        result = await super()._ask(request)
        call = find_call()
        if isinstance(call, _BatchedCall) and call.answered:
            result = replace(result, usage=replace(result.usage, batch=True))
        return result

    async def _try(
        self, attempt: Callable[[], Awaitable[_T | Failure]], call: Call, request: Request | None
    ) -> _T | Failure:
        """Read the answer of one try; a request that no batch can hold or answer is this sample's error."""
        del call, request
        try:
            result = await attempt()
        except TooLargeForBatch as error:
            message = f"{error.what}; a run without --batch can ask it"
            return Failure(outcome="error", reason="too_large_for_batch", message=message)
        except NoResult as error:
            return Failure(outcome="error", reason="no_batch_result", message=error.what)
        self._count(result)
        self._endpoints.hear(self._of)
        if not isinstance(result, Failure):
            self._endpoints.mark_answered(self._of)
            self.breaker.record_success()
            return result
        # the wait that a server asked for is over, and in a batch a refusal for its rate is one more try
        return replace(result, transient=result.transient or result.throttled, throttled=False, retry_after=None)

    def _count(self, result: object) -> None:
        """Count what an attempt cost, unless an earlier walk has read the same answer.

        Only the last answer of an attempt has tokens: those before it refused a parameter.
        """
        call = find_call()
        if not isinstance(call, _BatchedCall):
            return
        for whose in call.taken:
            if self._queue.log.is_counted(whose):
                continue
            if whose == call.taken[-1] and is_lost(result):
                self._meter.miss(self._queue.lose(whose))
                continue
            dollars: Decimal | None = Decimal()
            if whose == call.taken[-1] and isinstance(result, Response | Failure):
                dollars = self._meter.count(
                    replace(result.usage, batch=True),
                    result.model,
                    answered=isinstance(result, Response) or bool(result.text),
                )
            self._queue.settle(whose, dollars)
        call.taken.clear()
