"""How far a build is, as a line every few seconds.

    elements 40 · written 38 · drawn 30 · dropped 5 · refused 1 · failed 0 · stopped 0 · 3.1 calls/s

What a step counts has gone on from it; the rest is where something ended, in whatever step.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anyio

from harness_builder.values import End, Step
from harness_builder.walk.values import Tally

EVERY: Final = 5.0  #: seconds
_STEPS: Final[Mapping[Step, str]] = {
    "elements": "elements",
    "write": "written",
    "draw": "drawn",
    "sort": "sorted",
    "probe": "probed",
    "label": "labelled",
}
_ENDS: Final[tuple[End, ...]] = ("dropped", "refused", "failed", "stopped")
_SELDOM: Final[tuple[End, ...]] = ("waiting",)


class Progress:
    """See the module.

    Args:
        tally: counted elsewhere.
        calls: how many calls were made so far, without those that were kept.
        tell: given each line.
        clock: seconds.
    """

    def __init__(
        self,
        tally: Tally,
        calls: Callable[[], int],
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally, self._calls, self._tell, self._clock = tally, calls, tell, clock
        self._counted, self._at = calls(), clock()
        self._told = self._counts()

    def tick(self) -> None:
        """Tell how far it is, where something has moved since the last line."""
        now, calls = self._clock(), self._calls()
        seconds, made = now - self._at, calls - self._counted
        self._at, self._counted = now, calls
        counts = self._counts()
        if counts == self._told and not made:
            return
        self._told = counts
        self._tell(f"{counts} · {made / seconds if seconds > 0 else 0:.1f} calls/s")

    def _counts(self) -> str:
        """The counts alone; steps that nothing has reached yet are left out behind the last that something has."""
        ends = self._tally.ends
        on = [(name, ends[step, "kept"]) for step, name in _STEPS.items()]
        while len(on) > 1 and not on[-1][1]:
            on.pop()
        off = [(end, sum(ends[step, end] for step in _STEPS)) for end in (*_ENDS, *_SELDOM)]
        return " · ".join(f"{name} {count}" for name, count in (*on, *off) if count or name not in _SELDOM)


@asynccontextmanager
async def showing(
    tally: Tally, calls: Callable[[], int], tell: Callable[[str], None], *, every: float = EVERY
) -> AsyncGenerator[Progress]:
    """Tell a line every few seconds while the body runs, and one at its end."""
    progress = Progress(tally, calls, tell)
    async with anyio.create_task_group() as group:
        group.start_soon(_ticking, progress, every)
        try:
            yield progress
        finally:
            progress.tick()
            group.cancel_scope.cancel()


async def _ticking(progress: Progress, every: float) -> None:
    while True:
        await anyio.sleep(every)
        progress.tick()
