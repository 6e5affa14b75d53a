"""Calls observers after each write; they can neither slow nor end a run.

One thread calls them in order, from a bounded queue. A full queue drops events and counts them; the files stay
complete. An observer that raises is reported once per hook. Closing waits a bounded time for a slow observer.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import anyio
import anyio.to_thread

from harness.contracts import Results, RunInfo
from harness.dialogues import map_images
from harness.plugins.loader import Fault, Source, guard, make_fault
from harness.types import Failure, Response, Sample, Unscored, Verdict

Event = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """One implementation of an observer hook."""

    source: Source
    hook: str
    call: Callable[[Mapping[str, Any]], None]


class Observers:
    """The observers of one run, as a context manager; without observers it starts no thread.

    In async code use `async with`: closing waits in a thread, so that the event loop keeps running.

    Attributes:
        dropped: number of events not delivered.
    """

    def __init__(
        self,
        observers: Sequence[Observer],
        run: RunInfo,
        report: Callable[[Fault], None],
        *,
        capacity: int = 1000,
        patience: float = 5.0,
    ) -> None:
        self.dropped = 0
        self._by_hook = {each.hook: [other for other in observers if other.hook == each.hook] for each in observers}
        self._run = run
        self._report = report
        self._capacity = capacity
        self._patience = patience
        self._reported: set[tuple[str, str]] = set()
        self._spent = {observer.source: 0.0 for observer in observers}
        self._now: Source | None = None
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._deliver, name="harness-observers", daemon=True)

    def __enter__(self) -> Self:
        if self._by_hook:
            self._thread.start()
        self._add("harness_run_started", {}, urgent=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):  # bounded by `patience`
            await anyio.to_thread.run_sync(self.close)

    def response_added(self, sample: Sample, response: Response | Failure) -> None:
        """Report that a response or failure was written; returns at once."""
        self._add("harness_response_added", {"sample": sample, "response": response})

    def verdict_added(self, sample: Sample, response: Response, verdict: Verdict | Unscored) -> None:
        """Report that a verdict was written; returns at once."""
        self._add("harness_verdict_added", {"sample": sample, "response": response, "verdict": verdict})

    def finished(self, results: Results) -> None:
        """Report that results.json was written; a full queue does not drop this event."""
        self._add("harness_run_finished", {"results": results}, urgent=True)

    def close(self) -> None:
        """Deliver queued events for at most `patience` seconds; the rest counts as dropped. Blocks."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(self._patience)
        with self._changed:
            self.dropped += len(self._events)
            self._events.clear()
        if self.dropped:
            slowest = self._now or max(self._spent, key=lambda source: self._spent[source])
            self._report(make_fault(slowest, "observe", f"observers missed {self.dropped} events: this one is slow"))

    def _add(self, hook: str, arguments: Mapping[str, Any], *, urgent: bool = False) -> None:
        if hook not in self._by_hook:
            return
        if "sample" in arguments:
            arguments = {**arguments, "sample": _without_bytes(arguments["sample"])}
        with self._changed:
            if self._closed or (len(self._events) >= self._capacity and not urgent):
                self.dropped += 1
                return
            self._events.append((hook, {"run": self._run, **arguments}))
            self._changed.notify()

    def _deliver(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self._closed)
                if not self._events:
                    return
                hook, arguments = self._events.popleft()
            for observer in self._by_hook[hook]:
                # Each observer gets its own copy of the results, so that it cannot change anyone else's.
                own = {"results": copy.deepcopy(arguments["results"])} if "results" in arguments else {}
                faults: list[Fault] = []
                started = time.monotonic()
                self._now = observer.source
                with guard(observer.source, "observe", faults.append):
                    observer.call({**arguments, **own})
                self._now = None
                self._spent[observer.source] += time.monotonic() - started
                key = (observer.source.name, observer.hook)
                if faults and key not in self._reported:
                    self._reported.add(key)
                    self._report(faults[0])


def _without_bytes(sample: Sample) -> Sample:
    """The sample without its images' bytes, so that the queue does not hold the data set in memory."""
    if all(image.content is None for image in sample.images):
        return sample
    return map_images(sample, lambda image: replace(image, content=None))
