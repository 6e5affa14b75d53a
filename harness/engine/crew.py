"""As many samples under way as calls may be on the wire.

One worker carries one sample from its first image to its last verdict (`harness.engine.carrier`), so there is no queue
between stages and nothing holds the whole set. What was answered before is read back by its offset. Whatever ends a run
(a dead endpoint, an interrupt, a full disk), what is in flight is written, and what is written is never asked again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import anyio
import anyio.lowlevel

from harness import descriptors
from harness.engine.carrier import Carrier
from harness.engine.work import Work
from harness.errors import HarnessError, PluginError, TooManyOpen, describe_deed
from harness.types import Sample

#: seconds that calls in flight have to finish once an error has stopped the run
DRAIN_SECONDS = 30.0


class SamplesError(Exception):
    """A task failed while it listed its samples; its split ends, the run does not. Its text says what the task did.

    Attributes:
        error: the same, with the plugin it came from; None where that is not known.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(describe_deed(error))
        self.error = error if isinstance(error, PluginError) else None


async def carry_all(work: Work, samples: Iterable[Sample]) -> None:
    """Carry all samples of a split; what stopped it early is in `work.stop`. Raises SamplesError."""
    await _Crew(work).run(samples)


class _Crew:
    """As many workers as calls may be on the wire, each with one sample."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._active = 0
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._fault: Exception | None = None
        models = [work.model, *(bench.model for bench, _ in work.benches)]
        self._endpoints = {work.endpoints.of(model.info) for model in models if model is not None}

    async def run(self, samples: Iterable[Sample]) -> None:
        async with anyio.create_task_group() as group:
            self._scope = group.cancel_scope
            for sample in self._listed(iter(samples)):
                await self._room()
                if self._work.stop.asked:
                    break
                self._active += 1
                group.start_soon(self._carry, sample)
        if self._fault is not None:
            raise SamplesError(self._fault) from self._fault

    def _listed(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """The samples; a task that raises ends here, and what is under way goes on."""
        try:
            yield from samples
        except Exception as error:  # noqa: BLE001 - a task is a plugin
            try:
                descriptors.check(error)
            except TooManyOpen as full:
                self._end(full)
            else:
                self._fault = error

    async def _room(self) -> None:
        await anyio.lowlevel.checkpoint()
        while self._active >= max(1, sum(endpoint.slots for endpoint in self._endpoints)) and not self._work.stop.asked:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _carry(self, sample: Sample) -> None:
        try:
            await Carrier(self._work, sample).run(self._changed_now)
        except HarnessError as error:
            self._end(error)
        finally:
            self._active -= 1
            self._changed_now()

    def _end(self, error: HarnessError) -> None:
        """Take no new sample, and give calls in flight some time."""
        self._work.stop.because(error)
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + DRAIN_SECONDS)

    def _changed_now(self) -> None:
        self._changed.set()
