"""Walks all seeds: many at once, and each by one task through all steps.

There is no queue between the steps and nothing holds the whole set: while one seed is drawn another is written, and the
slowest server sets the pace. A seed on its way costs a few texts; its images lie on disk. The elements of a seed go
through each step side by side, and through the checks for duplicates one by one, in the order of the seeds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_builder.calls.results import Halted, StepResult
from harness_builder.dedup import DedupFilter, QueueClosed
from harness_builder.purge import Purge
from harness_builder.quality import ImageMark
from harness_builder.records import Draft, LogLine, RecordFile, StepLog, to_plain
from harness_builder.steps.context import BuildContext, gather
from harness_builder.steps.drawing import draw
from harness_builder.steps.labelling import Labeller
from harness_builder.steps.probing import check_probes, find_giveaway, find_silence, probe
from harness_builder.steps.questions import find_elements, write
from harness_builder.steps.sorting import WAITING, People, classify, decide, replace_text
from harness_builder.tally import Tally
from harness_builder.values import Candidate, Element, Seed, Step

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """One walk of all seeds.

    Attributes:
        context: of the steps.
        labeller: makes the labels.
        dedup: drops near-duplicates.
        log, records: what comes of it, on disk.
        people: who decide; None if the plan asks nobody.
        mark: sha256 of an image -> what it looks like.
        tally: how everything ended.
        ending: whether the user wants it to end.
        put_candidate: is given each candidate that came to be sorted.
        purge: of the hard stops.
        fault: why it ends early.
    """

    context: BuildContext
    labeller: Labeller
    dedup: DedupFilter
    log: StepLog
    records: RecordFile
    people: People | None
    mark: Callable[[str], ImageMark]
    tally: Tally = field(default_factory=Tally)
    ending: Callable[[], bool] = lambda: False
    put_candidate: Callable[[Candidate], None] = lambda _: None
    purge: Purge = field(init=False)
    fault: HarnessError | None = None

    def __post_init__(self) -> None:
        self.purge = Purge(self.context.plan, self.context.calls, self.log, self.dedup, self.tally)

    async def run(self, seeds: Iterable[Seed], at_once: int, put_candidate: Callable[[Candidate], None]) -> None:
        """Walk them all. What nothing can be done about ends the walk once all calls on the wire have returned.

        Raises:
            HarnessError: nothing will work.
        """
        self.put_candidate = put_candidate
        room = anyio.CapacityLimiter(at_once)
        rest, number = iter(seeds), 0
        async with anyio.create_task_group() as group:
            try:
                # read in a thread: a source may be large
                while (seed := await anyio.to_thread.run_sync(next, rest, None)) is not None:
                    await room.acquire_on_behalf_of(number)
                    if self.fault is not None or self.ending():
                        break
                    group.start_soon(self._run_seed, number, seed, room)
                    number += 1
            except HarnessError as error:  # of a source: all seeds before it go on to the end
                self.fault = self.fault or error
        if self.fault is not None:
            raise self.fault

    async def _run_seed(self, number: int, seed: Seed, room: anyio.CapacityLimiter) -> None:
        try:
            await SeedRunner(self, number, seed).run()
            self.tally.seeds += 1
        except QueueClosed:
            pass
        except HarnessError as error:
            self.fault = self.fault or error
            self.dedup.close()
        finally:
            room.release_on_behalf_of(number)


class SeedRunner:
    """Takes one seed through all steps.

    Args:
        pipeline: that it is part of.
        number: of the seed, which is its turn in the checks for duplicates.
        seed: itself.
    """

    def __init__(self, pipeline: Pipeline, number: int, seed: Seed) -> None:
        self._pipeline = pipeline
        self._context = pipeline.context
        self._number = number
        self._seed = seed
        self._drafts: list[Draft] = []

    async def run(self) -> None:
        """Run all steps, and write down what came of it.

        Raises:
            HarnessError: nothing will work.
            QueueClosed: the walk is ending.
        """
        dedup = self._pipeline.dedup
        seed_line = await self._find_elements()
        await self._each(self._write)
        async with dedup.texts.turn(self._number):
            for draft in self._going():
                assert draft.element
                assert draft.question
                self._drop(draft, "write", dedup.check_written(draft.question, draft.element))
        await self._each(self._draw)
        marks = await anyio.to_thread.run_sync(self._mark_pairs)
        async with dedup.images.turn(self._number):
            for draft in self._going():
                self._drop(draft, "draw", await dedup.check_pair(draft.key, marks[draft.key]))
        await self._each(self._sort)
        if self._pipeline.people is not None:
            async with dedup.decided.turn(self._number):
                for draft in self._going():
                    assert draft.element
                    assert draft.question
                    self._drop(draft, "sort", dedup.check_decided(draft.question, draft.element))
        await self._each(self._finish)

        self._pipeline.log.put(seed_line)
        for draft in self._drafts:
            for line in draft.lines:
                self._pipeline.log.put(line)
            if draft.ended is None:
                self._pipeline.records.put(self._number, draft.to_record(self._seed.source))
            draft.close()
            for step in draft.counted:
                self._pipeline.tally.ends[step, "kept"] += 1

    async def _find_elements(self) -> LogLine:
        """Begin a draft of each element; the line is the seed's own."""
        seed, purge, tally = self._seed, self._pipeline.purge, self._pipeline.tally
        found = await find_elements(self._context, seed)
        if isinstance(found, Halted):
            calls = found.calls if found.end != "stopped" else ()
            tally.count("elements", found)
            if found.end == "stopped":
                purge.stop_seed(seed.key)
            return LogLine(step="elements", key=seed.key, end=found.end, why=found.why, calls=calls)
        tally.with_elements += 1
        for place, each in enumerate(found.value):
            draft = Draft(key=f"{seed.key}#{place}", place=place, lists=found.calls[-1])
            self._drafts.append(draft)
            if isinstance(each, Element):
                draft.element = each
                draft.calls += found.calls
                draft.lines.append(LogLine(step="elements", key=draft.key, end="kept", made=to_plain(each)))
            else:
                self._end(draft, purge.find_step(draft.key, each) if each.end == "stopped" else "elements", each)
        # the story tells what the seed is: the seed itself is not stored
        kinds = " and ".join(kind for kind, there in (("image", seed.image is not None), ("text", seed.text)) if there)
        made = {"elements": len(found.value), "seed": kinds}
        return LogLine(step="elements", key=seed.key, end="kept", made=made, calls=found.calls, notes=found.notes)

    def _going(self) -> list[Draft]:
        return [draft for draft in self._drafts if draft.ended is None]

    async def _each(self, step: Callable[[Draft], Awaitable[None]]) -> None:
        await gather(step, self._going())

    async def _write(self, draft: Draft) -> None:
        assert draft.element
        draft.question = self._take(draft, "write", await write(self._context, draft.element))

    async def _draw(self, draft: Draft) -> None:
        assert draft.element
        assert draft.question
        draft.pair = self._take(draft, "draw", await draw(self._context, draft.element, draft.question))

    def _mark_pairs(self) -> dict[str, tuple[ImageMark, ImageMark]]:
        mark = self._pipeline.mark
        pairs = {draft.key: draft.pair.images for draft in self._going() if draft.pair}
        return {key: (mark(one), mark(other)) for key, (one, other) in pairs.items()}

    async def _sort(self, draft: Draft) -> None:
        """Ask the model what it thinks, and decide by that or by what people decided."""
        candidate = self._build_candidate(draft)
        opinion = draft.opinion = self._take(draft, "sort", await classify(self._context, candidate))
        if opinion is None:
            return
        flags = {"text_unsafe": opinion.text_unsafe, "image_harmful": opinion.image_harmful}
        names = {"category": opinion.category, "sub_category": opinion.sub_category}
        said = {name: "yes" if flag else "no" for name, flag in flags.items()}
        said |= {name: text for name, text in names.items() if text}
        self._pipeline.put_candidate(replace(candidate, opinion=said))
        decided = await decide(self._context, self._pipeline.people, candidate, opinion)
        if isinstance(decided, Halted):
            self._end(draft, "sort", decided)
            return
        draft.sorted = decided.value
        draft.calls += decided.calls
        line = draft.lines[-1]
        calls = (*line.calls, *decided.calls)
        draft.lines[-1] = replace(line, made=to_plain(decided.value), calls=calls, notes=decided.notes)
        assert draft.question
        if decided.value.question != draft.question.text:
            draft.question = replace_text(draft.question, candidate, decided.value.question)

    async def _finish(self, draft: Draft) -> None:
        """Label what is for training; look for the risk in the parts of what is for a test."""
        assert draft.question
        assert draft.sorted
        candidate = replace(self._build_candidate(draft), category=draft.sorted.category)
        if draft.sorted.subset == "train":
            draft.label = self._take(draft, "label", await self._pipeline.labeller.label(candidate, draft.question))
            return
        if not self._context.plan.probe:
            return
        found = self._take(draft, "probe", await probe(self._context, candidate))
        draft.probed = found or ()
        if found and find_giveaway(found) is None:
            self._pipeline.tally.untold[find_silence(found)] += 1
        if found and self._context.plan.together:
            if draft.sorted.subset == "hard":
                self._drop(draft, "probe", check_probes(found))
            else:
                self._pipeline.tally.spared += 1

    def _build_candidate(self, draft: Draft) -> Candidate:
        assert draft.element
        assert draft.question
        assert draft.pair
        first, second = (self._context.image(each) for each in draft.pair.images)
        return Candidate(
            key=draft.key,
            category=draft.element.category,
            question=draft.question.text,
            objects=draft.element.objects,
            images=(first, second),
            source=self._seed.source,
        )

    def _take(self, draft: Draft, step: Step, result: StepResult[T] | Halted) -> T | None:
        made = draft.take(step, result)
        if isinstance(result, Halted):
            self._count_end(draft, step, result)
        return made

    def _end(self, draft: Draft, step: Step, halted: Halted) -> None:
        draft.end(step, halted)
        self._count_end(draft, step, halted)

    def _drop(self, draft: Draft, step: Step, halted: Halted | None) -> None:
        if halted is not None:
            self._end(draft, step, halted)
            if original := self._pipeline.dedup.find_original(draft.key):
                self._pipeline.purge.note_duplicate(draft, original)

    def _count_end(self, draft: Draft, step: Step, halted: Halted) -> None:
        self._pipeline.tally.count(step, halted)
        if halted.end == "waiting" and halted != WAITING:
            self._pipeline.tally.ties[draft.key] = halted.why
        if halted.end == "stopped":
            self._pipeline.purge.stop(draft)
