"""Walks all seeds: many at once, each by one task through all steps.

There is no queue between the steps and nothing holds the whole set: while one seed is drawn another is written, and the
slowest server sets the pace. A seed in progress costs a few texts; its images are on disk. The elements of a seed pass
each step at the same time, and the checks for duplicates one by one, in the order of the seeds.

A hard stop erases all that is stored about an element, about those that nearly equal it, and about those listed with
it. An element that nearly equals a stopped one has the same content, so it is stopped too, with the same kind. The next
walk does not see the stopped one; without this rule it would keep the element that this walk dropped, and ask for it
anew. Elements that one reply lists for several seeds are one element: if one is stopped, all are, in the step where
they were listed. The reply is redacted last: if a build is killed before that, the next one stops the same again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final, TypeVar

import anyio
import anyio.to_thread

from harness import HarnessError
from harness_builder.calls.results import CallRunner, Halted, StepResult
from harness_builder.dedup import DedupFilter, QueueClosed
from harness_builder.plan import Plan
from harness_builder.quality import ImageMark
from harness_builder.records import Draft, LogLine, RecordFile, StepLog, to_plain
from harness_builder.steps.context import BuildContext, gather
from harness_builder.steps.drawing import draw
from harness_builder.steps.labelling import Labeller
from harness_builder.steps.probing import check_probes, find_giveaway, find_silence, probe
from harness_builder.steps.questions import find_elements, write
from harness_builder.steps.sorting import WAITING, People, classify, decide, replace_text
from harness_builder.stops import KINDS, Stop, StopKind
from harness_builder.tally import Tally
from harness_builder.values import Candidate, Element, Seed, Step, steps_before

T = TypeVar("T")
_KINDS: Final[dict[str, StopKind]] = {kind: kind for kind in KINDS}


@dataclass(slots=True, kw_only=True)
class Pipeline:
    """One walk of all seeds.

    Attributes:
        context: of the steps.
        labeller: makes the labels.
        dedup: drops near-duplicates.
        log, records: its results on disk.
        people: who decide; None if the plan asks nobody.
        mark: sha256 of an image -> what it looks like.
        tally: how everything ended.
        ending: whether the user wants to stop it.
        put_candidate: called with each candidate that reaches `sort`.
        purge: the hard stops.
        fault: the error that ends the walk early.
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
        """Walk all seeds. A fatal error ends the walk once all calls on the wire have returned.

        Raises:
            HarnessError: no call can succeed.
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
            except HarnessError as error:  # of a source: earlier seeds still pass all steps
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
        number: of the seed: its turn in the checks for duplicates.
        seed: to walk.
    """

    def __init__(self, pipeline: Pipeline, number: int, seed: Seed) -> None:
        self._pipeline = pipeline
        self._context = pipeline.context
        self._number = number
        self._seed = seed
        self._drafts: list[Draft] = []

    async def run(self) -> None:
        """Run all steps, and write down the results.

        Raises:
            HarnessError: no call can succeed.
            QueueClosed: the walk is ending.
        """
        dedup = self._pipeline.dedup
        seed_line = await self._find_elements()
        await gather(self._write, self._going())
        async with dedup.texts.turn(self._number):
            for draft in self._going():
                assert draft.element
                assert draft.question
                self._drop(draft, "write", dedup.check_written(draft.question, draft.element))
        await gather(self._draw, self._going())

        def mark_pairs() -> dict[str, tuple[ImageMark, ImageMark]]:
            pairs = {draft.key: draft.pair.images for draft in self._going() if draft.pair}
            return {key: (self._pipeline.mark(one), self._pipeline.mark(other)) for key, (one, other) in pairs.items()}

        marks = await anyio.to_thread.run_sync(mark_pairs)
        async with dedup.images.turn(self._number):
            for draft in self._going():
                self._drop(draft, "draw", await dedup.check_pair(draft.key, marks[draft.key]))
        await gather(self._sort, self._going())
        if self._pipeline.people is not None:
            async with dedup.decided.turn(self._number):
                for draft in self._going():
                    assert draft.element
                    assert draft.question
                    self._drop(draft, "sort", dedup.check_decided(draft.question, draft.element))
        await gather(self._finish, self._going())

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
        """Begin a draft of each element; write the line of the seed."""
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
        # the seed is not stored; the story names its kind
        kinds = " and ".join(kind for kind, there in (("image", seed.image is not None), ("text", seed.text)) if there)
        made = {"elements": len(found.value), "seed": kinds}
        return LogLine(step="elements", key=seed.key, end="kept", made=made, calls=found.calls, notes=found.notes)

    def _going(self) -> list[Draft]:
        return [draft for draft in self._drafts if draft.ended is None]

    async def _write(self, draft: Draft) -> None:
        assert draft.element
        draft.question = self._take(draft, "write", await write(self._context, draft.element))

    async def _draw(self, draft: Draft) -> None:
        assert draft.element
        assert draft.question
        draft.pair = self._take(draft, "draw", await draw(self._context, draft.element, draft.question))

    async def _sort(self, draft: Draft) -> None:
        """Ask the model for its opinion, and decide by that or by people's decisions."""
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
        """Label a training element; probe the parts of a test element."""
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


class Purge:
    """The hard stops of one walk; see the module. Every method raises HarnessError if the disk cannot be written.

    Args:
        plan: of the build.
        calls: deletes stored calls.
        log: of the steps.
        dedup: lists near-duplicates.
        tally: its counts are corrected.

    Attributes:
        erase_elsewhere: called with each stopped key, to erase data that others store about it.
    """

    def __init__(self, plan: Plan, calls: CallRunner, log: StepLog, dedup: DedupFilter, tally: Tally) -> None:
        self.erase_elsewhere: Callable[[str], None] = lambda _: None
        self._most_elements = max(plan.per_text, plan.per_image)
        self._calls = calls
        self._log = log
        self._dedup = dedup
        self._tally = tally
        self._stopped: dict[str, Halted] = {}
        self._duplicates: defaultdict[str, list[Draft]] = defaultdict(list)  # by the key that they nearly equal
        # stopped ones, by their place in a reply
        self._listed: defaultdict[tuple[str, int], list[Draft]] = defaultdict(list)

    def stop(self, draft: Draft) -> None:
        """Erase a stopped element, and stop those that nearly equal it or are listed with it."""
        assert draft.ended is not None
        halted = self._stopped[draft.key] = draft.ended[1]
        self._log.strike(draft.key, draft.lines)
        self._erase(draft.key)
        for each in self._duplicates.pop(draft.key, ()):
            self._stop_duplicate(each, halted)
        if not draft.lists:
            return
        together = self._listed[draft.lists, draft.place]
        together.append(draft)
        for each in together if len(together) > 1 else ():
            assert each.ended is not None
            step, of_each = each.ended
            if step != "elements":
                each.lines = []
                self._end_again(each, "elements", of_each)
                self._log.erase(each.key, stopped=True)
                self._log.strike(each.key, each.lines)
        # a kind unknown to this version counts as unchecked
        self._calls.redact(draft.lists, draft.place, Stop(kind=_KINDS.get(halted.why, "unchecked")))

    def note_duplicate(self, draft: Draft, of: str) -> None:
        """Note that an element was dropped as a near-duplicate; the other one may be stopped already, or later."""
        if (halted := self._stopped.get(of)) is not None:
            self._stop_duplicate(draft, halted)
        else:
            self._duplicates[of].append(draft)

    def stop_seed(self, seed: str) -> None:
        """For a seed stopped before it has elements: erase those that an earlier build made of it."""
        for number in count():
            key = f"{seed}#{number}"
            if number >= self._most_elements and not self._log.knows(key):
                break
            self._log.erase(key)
            self._erase(key)
        self._calls.forget(seed)

    def find_step(self, key: str, halted: Halted) -> Step:
        """The step that stopped an element which its reply lists as stopped, if an earlier walk noted it."""
        return self._log.find_stop(key, halted.why) or "elements"

    def _erase(self, key: str) -> None:
        self.erase_elsewhere(key)
        self._calls.forget(key)

    def _stop_duplicate(self, draft: Draft, halted: Halted) -> None:
        assert draft.ended is not None
        self._dedup.forget(draft.key)
        self._end_again(draft, draft.ended[0], halted)
        self.stop(draft)

    def _end_again(self, draft: Draft, step: Step, halted: Halted) -> None:
        """End a draft as stopped in this step, and correct its count; earlier steps stay counted."""
        assert draft.ended is not None
        before = steps_before(step)
        self._tally.uncount(*draft.ended, kept=[each for each in draft.counted if each not in before])
        draft.counted = tuple(each for each in draft.counted if each in before)
        draft.end(step, Halted(end="stopped", why=halted.why))
        self._tally.count(*draft.ended)
