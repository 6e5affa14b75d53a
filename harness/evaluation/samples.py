"""Evaluates the samples of one split: one worker handles a sample from its first image to its last verdict.

A worker does all steps of one sample (open, ask, write, judge, write), so no queue lies between the steps and memory
never holds the whole set. There are as many workers as calls allowed on the wire. A stored answer is read by its
offset. Whatever ends a run (a dead endpoint, an interrupt, a full disk), calls in flight are written, and a written
answer is never asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from harness import descriptors
from harness.attacks import STEP as ATTACK_STEP
from harness.attacks import ResolvedAttack
from harness.batches import BatchQueue, ask_in_batches
from harness.contracts import Model, Split
from harness.dialogues import join_replies, map_images
from harness.errors import BadImage, BudgetSpent, HarnessError, PluginError, TooManyOpen, describe_deed
from harness.evaluation.conversation import ask
from harness.evaluation.judges import OpenJudge
from harness.images import open_image
from harness.keys import messages_digest, request_key
from harness.limits.endpoints import Endpoints
from harness.limits.metered import Breaker, count_calls
from harness.metrics import NOT_COUNTED, Metric, Record, Share, is_share
from harness.plugins.boundary import make_error
from harness.plugins.observers import Observers
from harness.plugins.own_time import OverTime, work_in_thread
from harness.progress.lines import Progress
from harness.stats.summary import label_outcome
from harness.store.journal import Journal
from harness.store.listing import Listing
from harness.store.records import (
    answer_hash,
    decision_of,
    failure_of,
    item_line,
    outcome_of,
    prompt_to_json,
    record_of,
    response_line,
    response_of,
    verdict_line,
)
from harness.types import Failure, Generation, Image, Message, Response, Sample, Text, Verdict, add_usage

#: reason of the `error` of a sample on which an attack worked too long
ATTACK_DEADLINE: Final = "attack_deadline"
_T = TypeVar("_T")
#: retried on every resume; all others only with `--retry`
ALWAYS_RETRIED = frozenset({"error", "bad_sample", "judge_error"})
#: seconds that calls in flight get to finish after an error stops the run
DRAIN_SECONDS = 30.0


class SamplesError(Exception):
    """A task failed while it listed its samples: the split ends, the run continues. The text says what the task did.

    Attributes:
        error: the error with its plugin; None if the plugin is unknown.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(describe_deed(error))
        self.error = error if isinstance(error, PluginError) else None


@dataclass(slots=True)
class Stop:
    """Ends a run early: once set, no new sample starts."""

    asked: bool = False
    reason: HarnessError | None = None

    def interrupt(self) -> None:
        """Stop because the user asked for it."""
        self.asked = True

    def because(self, error: HarnessError) -> None:
        """Stop for this reason; the first reason is kept."""
        self.asked = True
        self.reason = self.reason or error

    def check(self) -> None:
        """Raise the reason if the run was stopped: KeyboardInterrupt if the user stopped it."""
        if self.asked:
            raise self.reason or KeyboardInterrupt


@dataclass(frozen=True, slots=True, kw_only=True)
class Journals:
    """The open journals of one task."""

    responses: Journal
    verdicts: Mapping[str, Journal]

    def sync(self) -> None:
        """Sync responses before verdicts, so that no verdict outlives its answer."""
        self.responses.sync()
        for journal in self.verdicts.values():
            journal.sync()

    def close(self) -> None:
        """Close all journals."""
        with ExitStack() as stack:  # if one cannot be closed, the others still are
            for journal in (*self.verdicts.values(), self.responses):
                stack.callback(journal.close)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingAnswer:
    """An answer to judge.

    Attributes:
        sample: the listed sample, a dialogue with its replies; its images are not open.
        response: the answer.
        epoch: 0-based.
        key: the request's key.
        answer: hash of the answer's text, and of the replies before it.
        record: the metrics' record, not yet labelled.
    """

    sample: Sample
    response: Response
    epoch: int
    key: str
    answer: str
    record: Record

    @property
    def where(self) -> tuple[object, ...]:
        """The key of its verdict lines in a journal."""
        return (self.sample.split, self.sample.id, self.epoch, self.key, self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitContext:
    """One split to evaluate, and what all its workers share.

    Attributes:
        display: the task's displayed name.
        version: the task's version.
        split: how the split is scored.
        name: the split's name.
        generation: the effective generation settings.
        system: system message before each request; empty for none.
        epochs: answers for each sample.
        model: the model to ask; None judges stored answers only.
        breaker: watches the calls below the model's strategy; None if nothing does.
        model_identity: digest that is part of each key.
        judges: open judges and their repeats, each with the translation of its labels.
        endpoints: limit how many samples are evaluated at once.
        journals: the task's journals.
        listing: writes the asked samples; None keeps the stored listing.
        retry: outcomes and judge states to retry.
        progress: shows the user what happens.
        observers: plugins that receive each record written.
        stop: ends all splits of a run.
        kept: lists the items asked in earlier runs, whether or not this run takes their samples.
        pending: answers for rubrics that score a split at once, collected meanwhile.
        batches: where requests are put that are asked in batches; None asks all live.
        attack: changes what the model is asked; None asks the samples as they are.
    """

    display: str
    version: str
    split: Split
    name: str
    generation: Generation
    system: str
    epochs: int
    model: Model | None
    breaker: Breaker | None
    model_identity: str
    judges: tuple[tuple[OpenJudge, Mapping[str, str]], ...]
    endpoints: Endpoints
    journals: Journals
    listing: Listing | None
    retry: frozenset[str]
    progress: Progress
    observers: Observers
    stop: Stop
    kept: Callable[[], Iterable[Mapping[str, Any]]]
    pending: list[PendingAnswer] = field(default_factory=list[PendingAnswer])
    batches: BatchQueue | None = None
    attack: ResolvedAttack | None = None

    def is_retried(self, journal: Journal, stored: tuple[int, str]) -> bool:
        """Whether a stored line is asked for again: by its state, and never twice in one cycle of batches."""
        offset, state = stored
        return state in self.retry and (self.batches is None or not self.batches.log.is_settled(journal.path, offset))

    @property
    def metric(self) -> Metric:
        """The main metric, for the running value."""
        return next((metric for metric in self.split.metrics if metric.main), self.split.metrics[0])


async def evaluate_split(context: SplitContext, samples: Iterable[Sample]) -> None:
    """Evaluate all samples of a split; `context.stop` says why it ended early. Raises SamplesError."""
    await _WorkerPool(context).run(iter(samples))


class _WorkerPool:
    """As many workers as calls allowed on the wire, each with one sample."""

    def __init__(self, context: SplitContext) -> None:
        models = [context.model, *(judge.model for judge, _ in context.judges)]
        self._context = context
        self._endpoints = {context.endpoints.of(model.info) for model in models if model is not None}
        self._active = 0
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._fault: Exception | None = None

    async def run(self, samples: Iterator[Sample]) -> None:
        stop = self._context.stop
        async with anyio.create_task_group() as group:
            self._scope = group.cancel_scope
            while (sample := self._list_next(samples)) is not None:
                await anyio.lowlevel.checkpoint()
                while self._active >= max(1, sum(each.slots for each in self._endpoints)) and not stop.asked:
                    self._changed = anyio.Event()
                    await self._changed.wait()
                if stop.asked:
                    break
                self._active += 1
                group.start_soon(self._evaluate, sample)
        if self._fault is not None:
            raise SamplesError(self._fault) from self._fault

    def _list_next(self, samples: Iterator[Sample]) -> Sample | None:
        """The next sample; None at the end or if the task raises. Samples already started continue."""
        try:
            return next(samples, None)
        except Exception as error:  # noqa: BLE001 - a task is a plugin
            try:
                descriptors.check(error)
            except TooManyOpen as full:
                self._end(full)
            else:
                self._fault = error
            return None

    async def _evaluate(self, sample: Sample) -> None:
        try:
            await evaluate_sample(self._context, sample, self._notify)
        except HarnessError as error:
            self._end(error)
        finally:
            self._active -= 1
            self._notify()

    def _end(self, error: HarnessError) -> None:
        self._context.stop.because(error)
        if isinstance(error, BudgetSpent):
            return  # calls on the wire are paid for: they take the time they need
        self._scope.deadline = min(self._scope.deadline, anyio.current_time() + DRAIN_SECONDS)

    def _notify(self) -> None:
        self._changed.set()


async def evaluate_sample(context: SplitContext, listed: Sample, answered: Callable[[], None]) -> None:
    """Answer one sample and judge it, epoch by epoch; calls `answered` after each model call."""
    opened, fault = listed, None
    if listed.images:
        opened, fault = await anyio.to_thread.run_sync(open_images, listed)
    content = messages_digest(opened.request, opened.turns)
    sample = add_run_settings(opened, context.generation, context.system)
    for epoch in range(context.epochs):
        key = request_key(
            request=sample.request,
            task=context.display,
            version=context.version,
            model=context.model_identity,
            epoch=epoch,
            turns=sample.turns,
        )
        asked = item_line(sample, epoch, key)
        if context.listing is not None:
            context.listing.add(asked, content if epoch == 0 else "")
        result, fresh = await get_answer(context, opened, sample, fault, epoch, key)
        answered()
        if result is None:
            continue
        outcome = outcome_of(result)
        flags = result.flags if isinstance(result, Response) else ()
        record = record_of(context.display, asked, {"outcome": outcome, "flags": flags})
        share = _find_share(context, label_outcome(record, context.split))
        context.progress.answered(context.display, context.name, outcome, share=share, fresh=fresh)
        if outcome == "answered" and isinstance(result, Response):
            answer = PendingAnswer(
                sample=join_replies(listed, result),
                response=result,
                epoch=epoch,
                key=key,
                answer=answer_hash(result),
                record=record,
            )
            await judge_answer(context, join_replies(sample, result), fault, answer)


async def get_answer(
    context: SplitContext, opened: Sample, sample: Sample, fault: BadImage | None, epoch: int, key: str
) -> tuple[Response | Failure | None, bool]:
    """Return the stored answer, or get and store a new one; and whether it is new.

    The answer is None if none is stored and asking is off, or if it waits for a batch.

    Args:
        context: the split's context.
        opened: the sample as its task lists it, with open images; an attack changes this one.
        sample: the same with the run's settings and system message.
        fault: why the first broken image could not be opened.
        epoch: 0-based.
        key: of the sample's answer.
    """
    journal = context.journals.responses
    stored = journal.find(sample.split, sample.id, epoch, key)
    if stored is not None and (context.model is None or not context.is_retried(journal, stored)):
        line = journal.read(stored[0])
        return (response_of if stored[1] in {"answered", "empty"} else failure_of)(line), False
    if context.model is None or context.stop.asked:
        return None, False
    scope = ("answer", context.display, sample.split, sample.id, key, -1 if stored is None else stored[0])
    with _expect_repeat(context.breaker, journal, stored), count_calls() as counted:
        result: Response | Failure
        asked, notes = sample, None
        with ask_in_batches(context.batches, *scope) as asker:
            if fault is not None:
                result = Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
            elif context.attack is None:
                result = await ask(context.model, sample)
            else:
                result, asked, notes = await _ask_attacked(context, context.attack, context.model, opened, epoch)
    if asker.pending:
        return None, False
    if counted.calls:  # whatever a strategy or an attack says of the calls that it made, or forgot where it raised
        result = replace(result, usage=counted.usage)
    line = response_line(asked, epoch, key, result, calls=counted.calls)
    if notes is not None:
        line["attack"] = {"question": prompt_to_json(sample, result.steps), "notes": list(notes)}
    journal.append(line, sample.split, sample.id, epoch, key, state=str(line["outcome"]))
    context.observers.response_added(sample, result)
    return result, True


async def _ask_attacked(
    context: SplitContext, attack: ResolvedAttack, model: Model, opened: Sample, epoch: int
) -> tuple[Response | Failure, Sample, tuple[str, ...] | None]:
    """Ask what an attack makes of a sample.

    Returns:
        The result, the sample as it was asked, and the attack's notes; None if the sample was not asked, or as it is.
    """
    plain = add_run_settings(opened, context.generation, context.system)
    first: list[Response] = []
    try:
        for request in await _work(attack, attack.attack.ask, attack.ask, opened):
            asked = add_run_settings(replace(opened, request=request, turns=()), context.generation, context.system)
            said = await ask(model, asked)
            if isinstance(said, Failure):
                return _add_steps(said, first), asked, ()
            first.append(said)
        replies = tuple(each.text for each in first)
        attacked = await _work(attack, attack.attack.apply, attack.apply, opened, epoch, replies)
    except PluginError as error:
        reason = error.kind if error.kind == ATTACK_DEADLINE else "attack_failed"
        return _add_steps(Failure(outcome="error", reason=reason, message=error.what[:500]), first), plain, None
    if isinstance(attacked, Failure):
        return _add_steps(attacked, first), plain, None
    changed, notes = attacked
    changed = add_run_settings(changed, context.generation, context.system)
    return _add_steps(await ask(model, changed), first), changed, notes


async def _work(
    attack: ResolvedAttack, of: Callable[..., object] | None, function: Callable[..., _T], *arguments: object
) -> _T:
    """What an attack makes, in a thread. Raises PluginError if it takes too long, or breaks its contract.

    Args:
        attack: the attack.
        of: the descriptor's function, whose plugin is named if it takes too long.
        function: calls it.
        arguments: of `function`.
    """
    seconds = attack.attack.seconds
    try:
        return await work_in_thread(function, *arguments, seconds=seconds)
    except OverTime:
        said = f"it has worked on a sample for {seconds:g} s, and has not ended"
        raise make_error(of or attack.attack.apply, said, kind=ATTACK_DEADLINE) from None


def _add_steps(last: Response | Failure, before: Sequence[Response]) -> Response | Failure:
    """A result with the tokens of all calls, and with what was said before as its first steps."""
    if not before:
        return last
    usage = add_usage(last.usage, *(call.usage for call in before))
    steps = {f"{ATTACK_STEP}{number}": call.text for number, call in enumerate(before, 1)}
    return replace(last, usage=usage, steps={**steps, **last.steps})


async def judge_answer(context: SplitContext, sample: Sample, fault: BadImage | None, answer: PendingAnswer) -> None:
    """Get a verdict from each judge that works sample by sample, and show the first judge's.

    Args:
        context: the split's context.
        sample: the sample with open images, for judges that see them; a dialogue with its replies.
        fault: why the first broken image could not be opened; then no judge gets a new question.
        answer: the model's answer; collected for rubrics that score a split at once.
    """
    if any(judge.rubric.scope == "split" for judge, _ in context.judges):
        context.pending.append(answer)
    for number, (judge, translation) in enumerate(context.judges):
        if judge.rubric.scope == "split":
            continue
        line, fresh = await get_verdict(context, judge, sample, fault, answer)
        if number == 0 and line is not None:
            show_verdict(context, answer.record, translation, line, fresh)


async def get_verdict(
    context: SplitContext, judge: OpenJudge, sample: Sample, fault: BadImage | None, answer: PendingAnswer
) -> tuple[Mapping[str, Any] | None, bool]:
    """Return one judge's stored verdict line, or get and store a new one; and whether it is new.

    The line is None if none is stored and the judge has stopped working, an image cannot be opened, or the verdict
    waits for a batch.
    """
    journal = context.journals.verdicts[judge.id]
    stored = journal.find(*answer.where)
    if stored is not None and not context.is_retried(journal, stored):
        return journal.read(stored[0]), False
    if judge.dead is not None or fault is not None:
        return None, False
    scope = ("verdict", context.display, judge.id, *answer.where, -1 if stored is None else stored[0])
    try:
        with _expect_repeat(judge.breaker, journal, stored), ask_in_batches(context.batches, *scope) as asker:
            judgement = await judge.decide(sample, answer.response)
    except (TooManyOpen, BudgetSpent):
        raise
    except HarnessError as error:
        judge.dead = judge.dead or error
        return None, False
    if asker.pending:
        return None, False
    line = verdict_line(sample, answer.epoch, answer.key, answer.answer, judgement)
    journal.append(line, *answer.where, state=str(line["state"]))
    context.observers.verdict_added(sample, answer.response, judgement.decision)
    return line, True


def show_verdict(
    context: SplitContext, record: Record, translation: Mapping[str, str], line: Mapping[str, Any], fresh: bool
) -> None:
    """Show a verdict and its share of the main metric."""
    decision = decision_of(line)
    if isinstance(decision, Verdict):
        label = translation.get(decision.label, decision.label)
        share = _find_share(context, replace(record, label=label, axes=decision.axes))
        context.progress.judged(context.display, context.name, label, share=share, fresh=fresh)
    else:
        context.progress.judged(context.display, context.name, decision.state, fresh=fresh)


def _find_share(context: SplitContext, record: Record) -> Share:
    """A record's share of the main metric's running value; a metric that fails is reported at the end."""
    try:
        # A running value is one ratio of sums: it says nothing of a mean over strata, nor of groups that score as one.
        metric = context.metric
        grouped = (metric.group is not None or metric.over_epochs) and metric.combine != "sum"
        counts = record.resolved and metric.stratum is None and not grouped
        share = metric.score(record) if counts else NOT_COUNTED
        return share if is_share(share) else NOT_COUNTED
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a metric is a plugin, and this is only the running value
        return NOT_COUNTED


def _expect_repeat(
    breaker: Breaker | None, journal: Journal, stored: tuple[int, str] | None
) -> AbstractContextManager[None]:
    """While the body runs, the breaker expects the error of the stored try again. No breaker or try: no effect."""
    if breaker is None or stored is None:
        return nullcontext()
    return breaker.expect(str(journal.read(stored[0]).get("reason", "")).partition(":")[0])


def open_images(sample: Sample) -> tuple[Sample, BadImage | None]:
    """Open a sample's images; also return the fault of the first that cannot be opened."""
    faults: list[BadImage] = []

    def open_or_note(image: Image) -> Image:
        try:
            return open_image(image)
        except BadImage as fault:
            faults.append(fault)
            return image

    return map_images(sample, open_or_note), faults[0] if faults else None


def add_run_settings(sample: Sample, generation: Generation, system: str) -> Sample:
    """Add the run's effective settings and system message to a sample's request."""
    messages = sample.request.messages
    if system:
        own = messages[0].content if messages and messages[0].role == "system" else ()
        first = Message(role="system", content=(Text(text=system), *own))
        messages = (first, *(messages[1:] if own else messages))
    return replace(sample, request=replace(sample.request, messages=messages, settings=generation))
