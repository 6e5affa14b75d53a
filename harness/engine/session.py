"""The body of a run: open the model and the judges, check them, carry each split, and leave the folder whole.

Phases: with `overlap` a sample is judged as soon as it is answered. With `sequential` the model answers everything, is
closed, and only then are the judges opened and read the answers back: two local models never share an accelerator.
`harness judge` is the second phase alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread

from harness.contracts import Model
from harness.engine.assignment import Assignment, Failed
from harness.engine.benches import Benches
from harness.engine.crew import SamplesError, carry_all
from harness.engine.judging import Bench
from harness.engine.probe import Finding
from harness.engine.scoring import score_all
from harness.engine.work import ALWAYS_RETRIED, Books, Stop, Work
from harness.labels import measure, translate_labels
from harness.limits.breaker import Breaker
from harness.limits.slots import Endpoints
from harness.metrics import Metric
from harness.options import Options
from harness.plan.choosing import JudgeChoice
from harness.plan.splits import SplitPlan
from harness.plan.suites import LeftOut
from harness.plugins.observers import Observers
from harness.progress.lines import Progress
from harness.store.folder import RunFolder, TaskFolder
from harness.store.journal import Journal

FLUSH_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Session:
    """One invocation of a run: what is shared by its phases.

    Attributes:
        options: as given.
        assignments: splits, in order.
        folder: where it is written.
        progress: told what happens.
        stop: ends it early.
        observers: plugins told of what was written.
        digest: of the model's identity; enters each key.
        breaker: of the model's calls, beneath its strategy; None until it is open.
        notes: what the user should read afterwards.
        benches: judges that were opened.
        contents: hash of what each split's data says, for those that were listed.
        finding: what the probe saw.
        failed: splits whose task raised while it listed its samples.
        left_out: parts of suites that cannot be run.
        dropped: generation settings that the model refused.
        said: what the model noted.
    """

    options: Options
    assignments: Sequence[Assignment]
    folder: RunFolder
    progress: Progress
    stop: Stop
    observers: Observers
    endpoints: Endpoints
    digest: str
    breaker: Breaker | None = None
    notes: list[str] = field(default_factory=list[str])
    benches: list[Bench] = field(default_factory=list[Bench])
    contents: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    chosen: dict[tuple[str, str], tuple[Bench, ...]] = field(default_factory=dict[tuple[str, str], tuple[Bench, ...]])
    finding: Finding | None = None
    failed: list[Failed] = field(default_factory=list[Failed])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    dropped: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()

    @property
    def choices(self) -> list[JudgeChoice]:
        """The judges of all splits."""
        return [choice for assignment in self.assignments for choice in assignment.plan.judges]

    async def rehearse(self, local: Callable[[str], bool]) -> None:
        """Open and close all that judging will need and the accelerator is not: rubrics, and models elsewhere.

        Where judging comes last, a wrong key or a missing template is so found before anything is spent.
        """
        async with AsyncExitStack() as stack:
            benches = Benches(self.options, self.endpoints, stack, self._shown(), self.folder.has_answers)
            for choice in self.choices:
                if local(choice.model):
                    choice.judge.open(choice.settings, choice.root)
                else:
                    await benches.open(choice)

    async def overlapping(self, model: Model) -> None:
        """Answer and judge, sample by sample."""
        async with self._judges() as benches:
            await self._carry(model, benches)

    async def answering(self, model: Model) -> None:
        """Answer only; each answer is kept for judges to come."""
        await self._carry(model, None)

    async def judging(self) -> None:
        """Judge what is stored."""
        async with self._judges() as benches:
            await self._carry(None, benches)

    @asynccontextmanager
    async def _judges(self) -> AsyncGenerator[Benches]:
        async with AsyncExitStack() as stack:
            benches = Benches(self.options, self.endpoints, stack, self._shown(), self.folder.has_answers)
            for choice in self.choices:
                await benches.open(choice)
            self.benches = list(benches.all)
            yield benches

    def _shown(self) -> dict[str, int | None]:
        """Judges' models that are shown images -> the most at once; None where a split does not say."""
        shown: dict[str, list[int]] = {}
        for each in self.assignments:
            most = max(each.plan.split.images or 0, each.survey.most_images if each.survey else 0)
            for choice in each.plan.judges:
                if "images" in choice.needs():
                    shown.setdefault(choice.model, []).append(most)
        return {model: max(most) if all(most) else None for model, most in shown.items()}

    async def _carry(self, model: Model | None, benches: Benches | None) -> None:
        groups: dict[str, list[Assignment]] = {}
        for assignment in self.assignments:
            groups.setdefault(assignment.plan.display, []).append(assignment)
        for display, group in groups.items():
            if not self.stop.asked:
                await self._task(self.folder.task(display), group, model, benches)

    async def _task(
        self, folder: TaskFolder, assignments: list[Assignment], model: Model | None, benches: Benches | None
    ) -> None:
        """All splits of one task, over the same open journals."""
        chosen = {assignment.plan.name: await self._benches(assignment.plan, benches) for assignment in assignments}
        ids = {bench.id for pairs in chosen.values() for bench, _ in pairs}
        with _open(folder, ids, answers=model is not None) as books, folder.listing_together():
            async with _flushing(books, self.endpoints):
                for assignment in assignments:
                    if not self.stop.asked:
                        await self._split(folder, assignment, model, chosen[assignment.plan.name], books)

    async def _benches(self, plan: SplitPlan, benches: Benches | None) -> tuple[tuple[Bench, Mapping[str, str]], ...]:
        if benches is None:
            return ()
        pairs = [(await benches.open(choice), choice.translation) for choice in plan.judges]
        self.chosen[plan.display, plan.name] = tuple(bench for bench, _ in pairs)
        return tuple(pairs)

    async def _split(
        self,
        folder: TaskFolder,
        assignment: Assignment,
        model: Model | None,
        benches: tuple[tuple[Bench, Mapping[str, str]], ...],
        books: Books,
    ) -> None:
        plan, options = assignment.plan, self.options
        listing = None if model is None else folder.listing(plan.name, keep=assignment.keep)
        work = Work(
            display=plan.display,
            version=plan.task.version,
            split=plan.split,
            name=plan.name,
            generation=plan.generation,
            system=options.system,
            epochs=assignment.epochs,
            model=model,
            breaker=self.breaker,
            model_identity=self.digest,
            benches=benches,
            endpoints=self.endpoints,
            books=books,
            listing=listing,
            retry=ALWAYS_RETRIED | options.retry,
            progress=self.progress,
            observers=self.observers,
            stop=self.stop,
            kept=partial(folder.asked, plan.name) if listing is None else listing.kept,
        )
        total, judge = assignment.total, bool(benches)
        self.progress.begin(plan.display, plan.name, total=total, metric=_running(work), judge=judge)
        try:
            await carry_all(work, assignment.samples())
            self.notes += await score_all(work)
            if listing is not None and not self.stop.asked:
                listing.finish()
                self.contents[plan.display, plan.name] = listing.content
        except SamplesError as error:
            self.failed.append((plan, error))
        finally:
            if listing is not None:
                listing.abandon()


@contextmanager
def _open(folder: TaskFolder, judges: set[str], *, answers: bool) -> Generator[Books]:
    """The journals of a task; those already open are closed when another cannot be opened."""
    responses = folder.responses(write=answers)
    verdicts: dict[str, Journal] = {}
    try:
        for judge in sorted(judges):
            verdicts[judge] = folder.verdicts(judge, write=True)
        yield Books(responses=responses, verdicts=verdicts)
    finally:
        Books(responses=responses, verdicts=verdicts).close()


@asynccontextmanager
async def _flushing(books: Books, endpoints: Endpoints) -> AsyncGenerator[None]:
    """Sync the journals every second, in a thread, while the body runs, and tell what a silent model has to say."""

    async def flush() -> None:
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            endpoints.listen()
            await anyio.to_thread.run_sync(books.sync)

    async with anyio.create_task_group() as group:
        group.start_soon(flush)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


def _running(work: Work) -> Metric | None:
    """The main metric for the running value; None where the first judge can give none of its labels."""
    if not work.benches:
        return work.metric
    bench, translation = work.benches[0]
    (metric,) = measure([work.metric], translate_labels(bench.rubric.labels, translation))
    return None if metric.unmeasured else metric
