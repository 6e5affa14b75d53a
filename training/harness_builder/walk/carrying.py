"""One seed's way: its elements side by side through each step, and one by one through the gates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_builder.calls.values import Ended, Passed
from harness_builder.quality import ImageMark
from harness_builder.quality.probing import given_away
from harness_builder.steps.drawing import draw
from harness_builder.steps.elements import elements
from harness_builder.steps.probing import apart, probe, untold
from harness_builder.steps.sorting import classify
from harness_builder.steps.workshop import Workshop
from harness_builder.steps.writing import write
from harness_builder.values import Candidate, Element, Opinion, Seed, Step

from .lines import Line
from .mending import remade, settle
from .settling import WAITING
from .values import Made
from .way import Way, plain

if TYPE_CHECKING:
    from .crew import Walk

T = TypeVar("T")


class Carrier:
    """Carries one seed; see the module.

    Args:
        walk: that it is part of.
        number: of the seed; the gates are passed in this order.
        seed: itself.
    """

    def __init__(self, walk: Walk, number: int, seed: Seed) -> None:
        self._walk = walk
        self._shop = walk.shop
        self._number = number
        self._seed = seed
        self._ways: list[Way] = []

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

    async def _begin(self) -> Line:
        """Take the seed's elements; the line is the seed's own."""
        seed, found = self._seed, await elements(self._shop, self._seed)
        if isinstance(found, Ended):
            calls = found.calls if found.end != "stopped" else ()
            self._walk.tally.count("elements", found)
            if found.end == "stopped":
                self._walk.stopping.stop_seed(seed.key)
            return Line(step="elements", key=seed.key, end=found.end, why=found.why, calls=calls)
        self._walk.tally.with_elements += 1
        for place, each in enumerate(found.value):
            way = Way(key=f"{seed.key}#{place}", place=place, lists=found.calls[-1])
            self._ways.append(way)
            if isinstance(each, Element):
                way.element = each
                way.calls += found.calls
                way.lines.append(Line(step="elements", key=way.key, end="kept", made=plain(each)))
            else:
                stopped = each.end == "stopped"
                self._end(way, self._walk.stopping.place(way.key, each) if stopped else "elements", each)
        made = {"elements": len(found.value), "seed": _shows(seed)}
        return Line(step="elements", key=seed.key, end="kept", made=made, calls=found.calls, notes=found.notes)

    def _going(self) -> list[Way]:
        return [way for way in self._ways if way.ended is None]

    async def _each(self, carry: Callable[[Way], Awaitable[None]]) -> None:
        """Carry all that go on, side by side; what ends the build is raised once all calls under way have ended."""
        faults: list[HarnessError] = []

        async def one(way: Way) -> None:
            try:
                await carry(way)
            except HarnessError as fault:
                faults.append(fault)

        async with anyio.create_task_group() as group:
            for way in self._going():
                group.start_soon(one, way)
        if faults:
            raise faults[0]

    async def _write(self, way: Way) -> None:
        assert way.element is not None
        way.question = self._took(way, "write", await write(self._shop, way.element))

    async def _draw(self, way: Way) -> None:
        assert way.element is not None
        assert way.question is not None
        way.pair = self._took(way, "draw", await draw(self._shop, way.element, way.question))

    async def _sort(self, way: Way) -> None:
        """What the model thinks of it, and where it goes: by that, or by what people decided."""
        candidate = _candidate(way, self._shop, self._seed)
        way.opinion = self._took(way, "sort", await classify(self._shop, candidate))
        if way.opinion is None:
            return
        self._walk.candidates(replace(candidate, opinion=_said(way.opinion)))
        settled = await settle(self._shop, self._walk.people, candidate, way.opinion)
        if isinstance(settled, Ended):
            self._end(way, "sort", settled)
            return
        way.sorted = settled.value
        way.add(settled.calls)
        way.lines[-1] = replace(way.lines[-1], made=plain(settled.value), notes=settled.notes)
        assert way.question is not None
        if settled.value.question != way.question.text:
            way.question = remade(way.question, candidate, settled.value.question)

    async def _finish(self, way: Way) -> None:
        """Look for the risk in its parts where it is for a test, label it where it is for a training."""
        assert way.sorted is not None
        candidate = replace(_candidate(way, self._shop, self._seed), category=way.sorted.category)
        if way.sorted.subset == "train":
            await self._label(way, candidate)
        elif self._shop.plan.probe:
            await self._probe(way, candidate)

    async def _probe(self, way: Way, candidate: Candidate) -> None:
        assert way.sorted is not None
        found = self._took(way, "probe", await probe(self._shop, candidate))
        way.probed = found or ()
        if found and given_away(found) is None:
            self._walk.tally.untold[untold(found)] += 1
        if found and self._shop.plan.together:
            if way.sorted.subset == "hard":
                self._turned(way, "probe", apart(found))
            else:
                self._walk.tally.spared += 1

    async def _label(self, way: Way, candidate: Candidate) -> None:
        assert way.question is not None
        way.label = self._took(way, "label", await self._walk.labeller.label(candidate, way.question))

    def _marked(self) -> dict[str, tuple[ImageMark, ImageMark]]:
        """What the images of each pair look like."""
        pairs = {way.key: way.pair.images for way in self._going() if way.pair}
        return {key: (self._walk.marks(one), self._walk.marks(other)) for key, (one, other) in pairs.items()}

    def _turned(self, way: Way, step: Step, ended: Ended | None) -> None:
        if ended is not None:
            self._end(way, step, ended)
            if near := self._walk.gates.near_to(way.key):
                self._walk.stopping.near(way, near)

    def _took(self, way: Way, step: Step, passed: Passed[T] | Ended) -> T | None:
        made = way.took(step, passed)
        if made is None and way.ended is not None:
            self._ended(way, *way.ended)
        return made

    def _end(self, way: Way, step: Step, ended: Ended) -> None:
        way.end(step, ended)
        self._ended(way, step, ended)

    def _ended(self, way: Way, step: Step, ended: Ended) -> None:
        """Count how it ended; of what was stopped delete what is kept."""
        self._walk.tally.count(step, ended)
        if ended.end == "waiting" and ended != WAITING:
            self._walk.tally.ties[way.key] = ended.why
        if ended.end == "stopped":
            self._walk.stopping.stop(way)

    def _keep(self, line: Line) -> None:
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


def _candidate(way: Way, shop: Workshop, seed: Seed) -> Candidate:
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


def _said(opinion: Opinion) -> dict[str, str]:
    """A model's opinion as people read it, after their own answer."""
    flags = {"text_unsafe": opinion.text_unsafe, "image_harmful": opinion.image_harmful}
    named = {"category": opinion.category, "sub_category": opinion.sub_category}
    return {name: "yes" if flag else "no" for name, flag in flags.items()} | {
        name: text for name, text in named.items() if text
    }


def _shows(seed: Seed) -> str:
    """What a seed is, for its story: it is not kept."""
    return " and ".join(what for what, there in (("image", seed.image is not None), ("text", seed.text)) if there)


def _made(way: Way, seed: Seed) -> Made:
    assert way.element is not None
    assert way.question is not None
    assert way.pair is not None
    assert way.sorted is not None
    return Made(
        source=seed.source,
        element=way.element,
        question=way.question,
        pair=way.pair,
        sorted=way.sorted,
        probed=way.probed,
        label=way.label,
        calls=tuple(way.calls),
    )
