"""One invocation of a run: opens the judges, evaluates each split, and leaves the folder complete.

Phases: with `overlap` a sample is judged as soon as it is answered. With `sequential` the model answers everything and
is closed; then the judges open and read the answers back, so two local models never share an accelerator.
`harness judge` is the second phase alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread

from harness.attacks import ResolvedAttack
from harness.batches import BatchQueue
from harness.contracts import Model
from harness.evaluation.judges import OpenJudge, OpenJudges
from harness.evaluation.options import Options
from harness.evaluation.plan import FailedSplit, SplitJob
from harness.evaluation.probe import ProbeResult
from harness.evaluation.samples import (
    ALWAYS_RETRIED,
    Journals,
    SamplesError,
    SplitContext,
    Stop,
    evaluate_split,
)
from harness.evaluation.split_scores import score_split
from harness.evaluation.splits import JudgeChoice, LeftOut
from harness.labels import measure, translate_labels
from harness.limits.endpoints import Endpoints
from harness.limits.metered import Breaker
from harness.metrics import Metric
from harness.plugins.observers import Observers
from harness.prices.spending import Spending
from harness.progress.lines import Progress
from harness.store.folder import RunFolder, TaskFolder
from harness.store.journal import Journal

FLUSH_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class RunContext:
    """The state that the phases of one invocation share.

    Attributes:
        options: the user's options.
        jobs: the splits to evaluate, in order.
        folder: the run folder.
        progress: shows the user what happens.
        stop: ends the run early.
        observers: plugins that receive each record written.
        endpoints: limit the calls on the wire.
        digest: hash of the model's identity; part of each key.
        breaker: watches the model's calls, below its strategy; None until the model is open.
        notes: messages for the user, shown at the end.
        judges: the open judges.
        judges_of: task and split -> its judges.
        contents: hash of each listed split's data.
        probe_result: the model's answer to the probe; None without a probe.
        failed: splits whose task raised while it listed its samples.
        left_out: parts of suites that cannot be run.
        dropped: generation settings that the model refused.
        model_notes: notes from the model's provider.
        batches: where requests are put that are asked in batches; None asks all live.
        spending: prices the calls and limits their dollars.
        note_judges: writes down who answers the judges' calls, before there is one.
        attack: changes what the model is asked; None asks the samples as they are.
    """

    options: Options
    jobs: Sequence[SplitJob]
    folder: RunFolder
    progress: Progress
    stop: Stop
    observers: Observers
    endpoints: Endpoints
    digest: str
    breaker: Breaker | None = None
    notes: list[str] = field(default_factory=list[str])
    judges: list[OpenJudge] = field(default_factory=list[OpenJudge])
    judges_of: dict[tuple[str, str], tuple[OpenJudge, ...]] = field(
        default_factory=dict[tuple[str, str], tuple[OpenJudge, ...]]
    )
    contents: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    probe_result: ProbeResult | None = None
    failed: list[FailedSplit] = field(default_factory=list[FailedSplit])
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    dropped: frozenset[str] = frozenset()
    model_notes: tuple[str, ...] = ()
    batches: BatchQueue | None = None
    spending: Spending = field(default_factory=Spending)
    note_judges: Callable[[Sequence[OpenJudge]], None] = lambda _: None
    attack: ResolvedAttack | None = None

    @property
    def choices(self) -> list[JudgeChoice]:
        """The judges of all splits."""
        return [choice for job in self.jobs for choice in job.plan.judges]

    async def check_judges(self, local: Callable[[str], bool]) -> None:
        """Open and close the rubrics, and the judges' models that do not run on this machine.

        If judging comes last, this finds a wrong key or a missing template before any answer is paid for.
        """
        async with AsyncExitStack() as stack:
            judges = self._new_judges(stack)
            for choice in self.choices:
                if local(choice.model):
                    choice.judge.open(choice.settings, choice.root)
                else:
                    await judges.open(choice)

    async def answer_and_judge(self, model: Model) -> None:
        """Answer and judge, sample by sample."""
        async with self._open_judges() as judges:
            await self._walk(model, judges)

    async def answer(self, model: Model) -> None:
        """Answer only, and store the answers for later judging."""
        await self._walk(model, None, last=False)

    async def judge(self) -> None:
        """Judge the stored answers."""
        async with self._open_judges() as judges:
            await self._walk(None, judges)

    async def _walk(self, model: Model | None, judges: OpenJudges | None, *, last: bool = True) -> None:
        """Evaluate all splits; with batches, again and again until no request waits.

        Args:
            model: the model to ask; None only judges.
            judges: the open judges; None only answers.
            last: no other walk of this run follows.

        Raises:
            BatchesPending: requests wait, and the invocation does not.
        """
        batches = self.batches
        if batches is None:
            await self._evaluate(model, judges)
            return
        batches.check_idle()
        failed, notes = len(self.failed), len(self.notes)
        while True:
            batches.begin_walk()
            await self._evaluate(model, judges)
            if self.stop.asked or not await batches.finish_walk(last=last):
                return
            del self.failed[failed:], self.notes[notes:]

    @asynccontextmanager
    async def _open_judges(self) -> AsyncGenerator[OpenJudges]:
        async with AsyncExitStack() as stack:
            judges = self._new_judges(stack)
            for choice in self.choices:
                await judges.open(choice)
            self.judges = list(judges.all)
            self.note_judges(self.judges)
            yield judges

    def _new_judges(self, stack: AsyncExitStack) -> OpenJudges:
        """The judges, not yet opened; each judge's model learns the most images that one request holds."""
        shown: dict[str, list[int]] = {}
        for job in self.jobs:
            listed = job.survey.most_images if job.survey and self.attack is None else 0  # judges see the originals
            most = max(job.plan.split.images or 0, listed)
            for choice in job.plan.judges:
                if "images" in choice.needs():
                    shown.setdefault(choice.model, []).append(most)
        images = {model: max(most) if all(most) else None for model, most in shown.items()}
        return OpenJudges(self.options, self.endpoints, stack, images, self.folder.has_answers, self.batches)

    async def _evaluate(self, model: Model | None, judges: OpenJudges | None) -> None:
        """Evaluate each split; the splits of one task share its open journals."""
        tasks: dict[str, list[SplitJob]] = {}
        for job in self.jobs:
            tasks.setdefault(job.plan.display, []).append(job)
        for display, jobs in tasks.items():
            if self.stop.asked:
                return
            chosen: dict[str, tuple[tuple[OpenJudge, Mapping[str, str]], ...]] = {}
            for plan in (job.plan for job in jobs):
                pairs = () if judges is None else [(await judges.open(c), c.translation) for c in plan.judges]
                chosen[plan.name] = tuple((each, words) for judge, words in pairs for each in judge.every)
                if judges is not None:
                    self.judges_of[plan.display, plan.name] = tuple(judge for judge, _ in pairs)
            folder = self.folder.task(display)
            ids = {judge.id for pairs in chosen.values() for judge, _ in pairs}
            with _open_journals(folder, ids, answers=model is not None) as journals, folder.replace_listings():
                async with _flush_regularly(journals, self.endpoints):
                    for job in jobs:
                        if not self.stop.asked:
                            await self._evaluate_split(folder, job, model, chosen[job.plan.name], journals)

    async def _evaluate_split(
        self,
        folder: TaskFolder,
        job: SplitJob,
        model: Model | None,
        judges: tuple[tuple[OpenJudge, Mapping[str, str]], ...],
        journals: Journals,
    ) -> None:
        plan, options = job.plan, self.options
        listing = None if model is None else folder.open_listing(plan.name, keep=job.keep)
        context = SplitContext(
            display=plan.display,
            version=plan.task.version,
            split=plan.split,
            name=plan.name,
            generation=plan.generation,
            system=options.system,
            epochs=job.epochs,
            model=model,
            breaker=self.breaker,
            model_identity=self.digest,
            judges=judges,
            endpoints=self.endpoints,
            journals=journals,
            listing=listing,
            retry=ALWAYS_RETRIED | options.retry,
            progress=self.progress,
            observers=self.observers,
            stop=self.stop,
            kept=partial(folder.read_asked, plan.name) if listing is None else listing.old_items,
            batches=self.batches,
            attack=self.attack,
        )
        waiting = 0 if self.batches is None else self.batches.pending
        metric: Metric | None = context.metric
        if judges:  # the running value needs a label of the first judge
            judge, translation = judges[0]
            (measured,) = measure([context.metric], translate_labels(judge.rubric.labels, translation))
            metric = None if measured.unmeasured else measured
        self.progress.begin(plan.display, plan.name, total=job.total, metric=metric, judge=bool(judges))
        try:
            await evaluate_split(context, job.samples())
            if self.batches is not None and self.batches.pending > waiting:
                return  # the listing is put in place by the walk that completes it
            self.notes += await score_split(context)
            if listing is not None and not self.stop.asked:
                listing.finish()
                self.contents[plan.display, plan.name] = listing.content
        except SamplesError as error:
            self.failed.append((plan, error))
        finally:
            if listing is not None:
                listing.abandon()


@contextmanager
def _open_journals(folder: TaskFolder, judges: set[str], *, answers: bool) -> Generator[Journals]:
    """The open journals of a task; if one cannot be opened, the others are closed."""
    responses = folder.responses(write=answers)
    verdicts: dict[str, Journal] = {}
    try:
        for judge in sorted(judges):
            verdicts[judge] = folder.verdicts(judge, write=True)
        yield Journals(responses=responses, verdicts=verdicts)
    finally:
        Journals(responses=responses, verdicts=verdicts).close()


@asynccontextmanager
async def _flush_regularly(journals: Journals, endpoints: Endpoints) -> AsyncGenerator[None]:
    """Every second while the body runs, sync the journals in a thread, and report new notes of the models."""

    async def flush() -> None:
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            endpoints.listen()
            await anyio.to_thread.run_sync(journals.sync)

    async with anyio.create_task_group() as group:
        group.start_soon(flush)
        try:
            yield
        finally:
            group.cancel_scope.cancel()
