"""Many seeds under way at once, each carried all the way by one worker.

There is no queue between the steps and nothing holds the whole set: while one seed is drawn another is written, and the
slowest server sets the pace. A seed that is under way costs a few texts; its images lie on disk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_builder.quality import ImageMark
from harness_builder.review import Agreed, Decided, Undecided
from harness_builder.steps.labelling import Labeller
from harness_builder.steps.workshop import Workshop
from harness_builder.values import Candidate, Seed

from .carrying import Carrier
from .gates import Gates
from .lines import Lines
from .records import Records
from .stopping import Stopping
from .turnstile import Shut
from .values import Tally


class People(Protocol):
    """What people have decided so far."""

    def decided(self, candidate: Candidate) -> Decided | Undecided | None:
        """Of a candidate as it is; None where not enough of them have looked at it."""
        ...

    def agreement(self) -> tuple[Agreed, ...]:
        """How far they agree."""
        ...


@dataclass(slots=True, kw_only=True)
class Walk:
    """One walk of all seeds.

    Attributes:
        shop: what the steps work with.
        labeller: makes the labels.
        gates: near-duplicates.
        lines, records: what comes of it, on disk.
        people: who decide; None where nobody is asked.
        marks: sha256 of an image -> what it looks like.
        tally: how everything ended.
        ending: whether a person wants it to end.
        candidates: takes each that came to be sorted.
        stopping: what hard stops take with them.
        stopped: why it ends early.
    """

    shop: Workshop
    labeller: Labeller
    gates: Gates
    lines: Lines
    records: Records
    people: People | None
    marks: Callable[[str], ImageMark]
    tally: Tally = field(default_factory=Tally)
    ending: Callable[[], bool] = lambda: False
    candidates: Callable[[Candidate], None] = lambda _: None
    stopping: Stopping = field(init=False)
    stopped: HarnessError | None = None

    def __post_init__(self) -> None:
        self.stopping = Stopping(self)

    async def run(self, seeds: Iterable[Seed], at_once: int, candidates: Callable[[Candidate], None]) -> None:
        """Walk them all; what nothing can be done about ends the walk once all that is under way has ended.

        Raises:
            HarnessError: nothing will work.
        """
        self.candidates = candidates
        room = anyio.CapacityLimiter(at_once)
        async with anyio.create_task_group() as group:
            try:
                async for number, seed in _listed(seeds):
                    await room.acquire_on_behalf_of(number)
                    if self.stopped is not None or self.ending():
                        break
                    group.start_soon(self._carry, number, seed, room)
            except HarnessError as error:  # of a source: all seeds before it go their way to the end
                self.stopped = self.stopped or error
        if self.stopped is not None:
            raise self.stopped

    async def _carry(self, number: int, seed: Seed, room: anyio.CapacityLimiter) -> None:
        try:
            await Carrier(self, number, seed).run()
            self.tally.seeds += 1
        except Shut:
            pass
        except HarnessError as error:
            self.stopped = self.stopped or error
            self.gates.shut()
        finally:
            room.release_on_behalf_of(number)


async def _listed(seeds: Iterable[Seed]) -> AsyncGenerator[tuple[int, Seed]]:
    """The seeds with their numbers, read in a thread: a source may be large."""
    rest, number = iter(seeds), 0
    while (seed := await anyio.to_thread.run_sync(next, rest, None)) is not None:
        yield number, seed
        number += 1
