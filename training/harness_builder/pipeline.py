"""Many seeds under way at once, each carried all the way by one worker.

There is no queue between the steps and nothing holds the whole set: while one seed is drawn another is written, and the
slowest server sets the pace. A seed that is under way costs a few texts; its images lie on disk.

One seed's way: its elements side by side through each step, and one by one through the gates.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_builder.calls.results import Halted, StepResult
from harness_builder.dedup import DedupFilter, QueueClosed
from harness_builder.purge import Purge
from harness_builder.quality import ImageMark
from harness_builder.records import BuiltRecord, Draft, LogLine, RecordFile, StepLog, plain
from harness_builder.review import Agreed, Decided, Undecided
from harness_builder.steps.context import BuildContext
from harness_builder.steps.drawing import draw
from harness_builder.steps.labelling import Labeller
from harness_builder.steps.probing import apart, find_giveaway, probe, untold
from harness_builder.steps.questions import elements, write
from harness_builder.steps.sorting import WAITING, classify, remade, settle
from harness_builder.tally import Tally
from harness_builder.values import Assessment, Candidate, Element, Seed, Step


class People(Protocol):
    """What people have decided so far."""

    def decided(self, candidate: Candidate) -> Decided | Undecided | None:
        """Of a candidate as it is; None where not enough of them have looked at it."""
        ...

    def agreement(self) -> tuple[Agreed, ...]:
        """How far they agree."""
        ...


@dataclass(slots=True, kw_only=True)
class Pipeline:
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

    shop: BuildContext
    labeller: Labeller
    gates: DedupFilter
    lines: StepLog
    records: RecordFile
    people: People | None
    marks: Callable[[str], ImageMark]
    tally: Tally = field(default_factory=Tally)
    ending: Callable[[], bool] = lambda: False
    candidates: Callable[[Candidate], None] = lambda _: None
    stopping: Purge = field(init=False)
    stopped: HarnessError | None = None

    def __post_init__(self) -> None:
        self.stopping = Purge(self)

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
            await SeedRunner(self, number, seed).run()
            self.tally.seeds += 1
        except QueueClosed:
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


T = TypeVar("T")


class SeedRunner:
    """Carries one seed; see the module.

    Args:
        walk: that it is part of.
        number: of the seed; the gates are passed in this order.
        seed: itself.
    """

    def __init__(self, walk: Pipeline, number: int, seed: Seed) -> None:
        self._walk = walk
        self._shop = walk.shop
        self._number = number
        self._seed = seed
        self._ways: list[Draft] = []

    async def run(self) -> None:
        """All the way. Raises HarnessError where nothing will work, Shut where the walk is ending."""
        line = await self._begin()
        await self._each(self._write)
        async with self._walk.gates.texts.turn(self._number):
            for way in self._going():
                assert way.element is not None
                assert way.question is not None
                self._turned(way, "write", self._walk.gates.text(way.question, way.element))
        await self._each(self._draw)
        marks = await anyio.to_thread.run_sync(self._marked)
        async with self._walk.gates.images.turn(self._number):
            for way in self._going():
                self._turned(way, "draw", await self._walk.gates.pair(way.key, marks[way.key]))
        await self._each(self._sort)
        if self._walk.people is not None:
            async with self._walk.gates.settled.turn(self._number):
                for way in self._going():
                    assert way.element is not None
                    assert way.question is not None
                    self._turned(way, "sort", self._walk.gates.decided(way.question, way.element))
        await self._each(self._finish)
        self._keep(line)

    async def _begin(self) -> LogLine:
        """Take the seed's elements; the line is the seed's own."""
        seed, found = self._seed, await elements(self._shop, self._seed)
        if isinstance(found, Halted):
            calls = found.calls if found.end != "stopped" else ()
            self._walk.tally.count("elements", found)
            if found.end == "stopped":
                self._walk.stopping.stop_seed(seed.key)
            return LogLine(step="elements", key=seed.key, end=found.end, why=found.why, calls=calls)
        self._walk.tally.with_elements += 1
        for place, each in enumerate(found.value):
            way = Draft(key=f"{seed.key}#{place}", place=place, lists=found.calls[-1])
            self._ways.append(way)
            if isinstance(each, Element):
                way.element = each
                way.calls += found.calls
                way.lines.append(LogLine(step="elements", key=way.key, end="kept", made=plain(each)))
            else:
                stopped = each.end == "stopped"
                self._end(way, self._walk.stopping.place(way.key, each) if stopped else "elements", each)
        made = {"elements": len(found.value), "seed": _shows(seed)}
        return LogLine(step="elements", key=seed.key, end="kept", made=made, calls=found.calls, notes=found.notes)

    def _going(self) -> list[Draft]:
        return [way for way in self._ways if way.ended is None]

    async def _each(self, carry: Callable[[Draft], Awaitable[None]]) -> None:
        """Carry all that go on, side by side; what ends the build is raised once all calls under way have ended."""
        faults: list[HarnessError] = []

        async def one(way: Draft) -> None:
            try:
                await carry(way)
            except HarnessError as fault:
                faults.append(fault)

        async with anyio.create_task_group() as group:
            for way in self._going():
                group.start_soon(one, way)
        if faults:
            raise faults[0]

    async def _write(self, way: Draft) -> None:
        assert way.element is not None
        way.question = self._took(way, "write", await write(self._shop, way.element))

    async def _draw(self, way: Draft) -> None:
        assert way.element is not None
        assert way.question is not None
        way.pair = self._took(way, "draw", await draw(self._shop, way.element, way.question))

    async def _sort(self, way: Draft) -> None:
        """What the model thinks of it, and where it goes: by that, or by what people decided."""
        candidate = _candidate(way, self._shop, self._seed)
        way.opinion = self._took(way, "sort", await classify(self._shop, candidate))
        if way.opinion is None:
            return
        self._walk.candidates(replace(candidate, opinion=_said(way.opinion)))
        settled = await settle(self._shop, self._walk.people, candidate, way.opinion)
        if isinstance(settled, Halted):
            self._end(way, "sort", settled)
            return
        way.sorted = settled.value
        way.add(settled.calls)
        way.lines[-1] = replace(way.lines[-1], made=plain(settled.value), notes=settled.notes)
        assert way.question is not None
        if settled.value.question != way.question.text:
            way.question = remade(way.question, candidate, settled.value.question)

    async def _finish(self, way: Draft) -> None:
        """Look for the risk in its parts where it is for a test, label it where it is for a training."""
        assert way.sorted is not None
        candidate = replace(_candidate(way, self._shop, self._seed), category=way.sorted.category)
        if way.sorted.subset == "train":
            await self._label(way, candidate)
        elif self._shop.plan.probe:
            await self._probe(way, candidate)

    async def _probe(self, way: Draft, candidate: Candidate) -> None:
        assert way.sorted is not None
        found = self._took(way, "probe", await probe(self._shop, candidate))
        way.probed = found or ()
        if found and find_giveaway(found) is None:
            self._walk.tally.untold[untold(found)] += 1
        if found and self._shop.plan.together:
            if way.sorted.subset == "hard":
                self._turned(way, "probe", apart(found))
            else:
                self._walk.tally.spared += 1

    async def _label(self, way: Draft, candidate: Candidate) -> None:
        assert way.question is not None
        way.label = self._took(way, "label", await self._walk.labeller.label(candidate, way.question))

    def _marked(self) -> dict[str, tuple[ImageMark, ImageMark]]:
        """What the images of each pair look like."""
        pairs = {way.key: way.pair.images for way in self._going() if way.pair}
        return {key: (self._walk.marks(one), self._walk.marks(other)) for key, (one, other) in pairs.items()}

    def _turned(self, way: Draft, step: Step, ended: Halted | None) -> None:
        if ended is not None:
            self._end(way, step, ended)
            if near := self._walk.gates.near_to(way.key):
                self._walk.stopping.near(way, near)

    def _took(self, way: Draft, step: Step, passed: StepResult[T] | Halted) -> T | None:
        made = way.took(step, passed)
        if made is None and way.ended is not None:
            self._ended(way, *way.ended)
        return made

    def _end(self, way: Draft, step: Step, ended: Halted) -> None:
        way.end(step, ended)
        self._ended(way, step, ended)

    def _ended(self, way: Draft, step: Step, ended: Halted) -> None:
        """Count how it ended; of what was stopped delete what is kept."""
        self._walk.tally.count(step, ended)
        if ended.end == "waiting" and ended != WAITING:
            self._walk.tally.ties[way.key] = ended.why
        if ended.end == "stopped":
            self._walk.stopping.stop(way)

    def _keep(self, line: LogLine) -> None:
        """Write down all lines of the seed, and its records."""
        self._walk.lines.put(line)
        for way in self._ways:
            for each in way.lines:
                self._walk.lines.put(each)
            if way.ended is None:
                self._walk.records.put(self._number, _made(way, self._seed))
            way.close()
            for step in way.counted:
                self._walk.tally.ends[step, "kept"] += 1


def _candidate(way: Draft, shop: BuildContext, seed: Seed) -> Candidate:
    assert way.element is not None
    assert way.question is not None
    assert way.pair is not None
    first, second = (shop.image(each) for each in way.pair.images)
    return Candidate(
        key=way.key,
        category=way.element.category,
        question=way.question.text,
        objects=way.element.objects,
        images=(first, second),
        source=seed.source,
    )


def _said(opinion: Assessment) -> dict[str, str]:
    """A model's opinion as people read it, after their own answer."""
    flags = {"text_unsafe": opinion.text_unsafe, "image_harmful": opinion.image_harmful}
    named = {"category": opinion.category, "sub_category": opinion.sub_category}
    return {name: "yes" if flag else "no" for name, flag in flags.items()} | {
        name: text for name, text in named.items() if text
    }


def _shows(seed: Seed) -> str:
    """What a seed is, for its story: it is not kept."""
    return " and ".join(what for what, there in (("image", seed.image is not None), ("text", seed.text)) if there)


def _made(way: Draft, seed: Seed) -> BuiltRecord:
    assert way.element is not None
    assert way.question is not None
    assert way.pair is not None
    assert way.sorted is not None
    return BuiltRecord(
        source=seed.source,
        element=way.element,
        question=way.question,
        pair=way.pair,
        sorted=way.sorted,
        probed=way.probed,
        label=way.label,
        calls=tuple(way.calls),
    )
