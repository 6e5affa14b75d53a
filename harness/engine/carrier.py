"""One sample's way, always forward: open, ask, write, judge, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import anyio.to_thread

from harness.contracts import Model
from harness.engine.judging import Bench
from harness.engine.work import Waiting, Work
from harness.errors import BadImage, HarnessError, TooManyOpen
from harness.images.opening import open_image
from harness.keys import messages_digest, request_key
from harness.limits.breaker import Breaker
from harness.limits.metered import count_calls, try_once
from harness.metrics import NOT_COUNTED, Record, Share, is_share
from harness.store.journal import Journal
from harness.store.records import (
    answer_hash,
    asked_line,
    decision_of,
    failure_of,
    outcome_of,
    record_of,
    response_line,
    response_of,
    verdict_line,
)
from harness.store.sound import sound
from harness.summary.split import settled
from harness.types import Failure, Image, Message, Part, Response, Sample, Text, Verdict

Result = Response | Failure


class Carrier:
    """One sample's way."""

    def __init__(self, work: Work, sample: Sample) -> None:
        self._work = work
        self._listed = self._sample = sample
        self._fault: BadImage | None = None
        self._content = ""

    async def run(self, answered: Callable[[], None]) -> None:
        """Carry it to its last verdict; `answered` is called when its model call is over."""
        opened, self._fault = await _opened(self._sample)
        self._content = messages_digest(opened.request)
        self._sample = _asked(opened, self._work)
        for epoch in range(self._work.epochs):
            await self._epoch(epoch, answered)

    async def _epoch(self, epoch: int, answered: Callable[[], None]) -> None:
        work, sample = self._work, self._sample
        key = request_key(
            request=sample.request, task=work.display, version=work.version, model=work.model_identity, epoch=epoch
        )
        asked = asked_line(sample, epoch, key)
        if work.listing is not None:
            work.listing.add(asked, self._content if epoch == 0 else "")
        result, fresh = await self._result(epoch, key)
        answered()
        if result is None:
            return
        outcome = outcome_of(result)
        flags = result.flags if isinstance(result, Response) else ()
        record = record_of(work.display, asked, {"outcome": outcome, "flags": flags})
        work.progress.answered(
            work.display, work.name, outcome, share=_share(work, settled(record, work.split)), fresh=fresh
        )
        if outcome == "answered" and isinstance(result, Response):
            await self._judge(epoch, key, result, record)

    async def _result(self, epoch: int, key: str) -> tuple[Result | None, bool]:
        """The stored answer, or a new one, written; whether it is new. None where nothing is stored or may be asked."""
        work, sample = self._work, self._sample
        stored = work.books.responses.find(sample.split, sample.id, epoch, key)
        if stored is not None and (work.model is None or stored[1] not in work.retry):
            line = work.books.responses.read(stored[0])
            return (response_of if stored[1] in {"answered", "empty"} else failure_of)(line), False
        if work.model is None or work.stop.asked:
            return None, False
        with _repeating(work.breaker, work.books.responses, stored), count_calls() as counted:
            result = await self._ask(work.model)
        line = response_line(sample, epoch, key, result, calls=counted.calls)
        work.books.responses.append(line, sample.split, sample.id, epoch, key, state=str(line["outcome"]))
        work.progress.spent(result.usage)
        work.observers.response_added(sample, result)
        return result, True

    async def _ask(self, model: Model) -> Result:
        if self._fault is not None:
            return Failure(outcome="bad_sample", reason=self._fault.reason, message=str(self._fault))
        return sound(await try_once(model, self._sample.request))

    async def _judge(self, epoch: int, key: str, response: Response, record: Record) -> None:
        answer = answer_hash(response)
        if any(bench.rubric.scope == "split" for bench, _ in self._work.benches):
            waiting = Waiting(
                sample=self._listed, response=response, epoch=epoch, key=key, answer=answer, record=record
            )
            self._work.waiting.append(waiting)
        for number, (bench, translation) in enumerate(self._work.benches):
            if bench.rubric.scope == "split":
                continue
            decided = await self._decide(bench, epoch, key, answer, response)
            if decided is None:
                continue
            if number == 0:
                show(self._work, record, translation, *decided)

    async def _decide(
        self, bench: Bench, epoch: int, key: str, answer: str, response: Response
    ) -> tuple[Mapping[str, Any], bool] | None:
        """The verdict line of one judge and whether it is new; None when the judge stopped working."""
        work, sample = self._work, self._sample
        journal = work.books.verdicts[bench.id]
        where = (sample.split, sample.id, epoch, key, answer)
        stored = journal.find(*where)
        if stored is not None and stored[1] not in work.retry:
            return journal.read(stored[0]), False
        if bench.dead is not None or self._fault is not None:
            return None
        try:
            with _repeating(bench.breaker, journal, stored):
                judgement = await bench.decide(sample, response)
        except TooManyOpen:
            raise
        except HarnessError as error:
            bench.dead = bench.dead or error
            return None
        line = verdict_line(sample, epoch, key, answer, judgement)
        journal.append(line, *where, state=str(line["state"]))
        work.progress.spent(judgement.usage)
        work.observers.verdict_added(sample, response, judgement.decision)
        return line, True


def show(work: Work, record: Record, translation: Mapping[str, str], line: Mapping[str, Any], fresh: bool) -> None:
    """Tell the display of a verdict, and of what the main metric makes of it."""
    decision = decision_of(line)
    if isinstance(decision, Verdict):
        label = translation.get(decision.label, decision.label)
        record = replace(record, label=label, axes=decision.axes)
        work.progress.judged(work.display, work.name, label, share=_share(work, record), fresh=fresh)
    else:
        work.progress.judged(work.display, work.name, decision.state, fresh=fresh)


def _repeating(
    breaker: Breaker | None, journal: Journal, stored: tuple[int, str] | None
) -> AbstractContextManager[None]:
    """Tell the breaker, while the body lasts, why the stored try failed; nothing where none is stored or watched."""
    if breaker is None or stored is None:
        return nullcontext()
    return breaker.expect(str(journal.read(stored[0]).get("reason", "")).partition(":")[0])


def _share(work: Work, record: Record) -> Share:
    """What the main metric makes of a record so far; one that raises, or gives no share, is told at the end."""
    try:
        share = work.metric.score(record) if record.resolved else NOT_COUNTED
        return share if is_share(share) else NOT_COUNTED
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a metric is a plugin, and this is only the running value
        return NOT_COUNTED


async def _opened(sample: Sample) -> tuple[Sample, BadImage | None]:
    """A sample with its images opened; with those that could be, and the fault of the first that could not."""
    if not sample.request.images:
        return sample, None
    return await anyio.to_thread.run_sync(_open_all, sample)


def _open_all(sample: Sample) -> tuple[Sample, BadImage | None]:
    faults: list[BadImage] = []

    def opened(part: Part) -> Part:
        if not isinstance(part, Image):
            return part
        try:
            return open_image(part)
        except BadImage as fault:
            faults.append(fault)
            return part

    messages = tuple(
        replace(message, content=tuple(opened(part) for part in message.content)) for message in sample.request.messages
    )
    return replace(sample, request=replace(sample.request, messages=messages)), faults[0] if faults else None


def _asked(sample: Sample, work: Work) -> Sample:
    """A sample with what the run adds to its request: effective settings, and the user's system message first."""
    messages = sample.request.messages
    if work.system:
        own = messages[0].content if messages and messages[0].role == "system" else ()
        system = Message(role="system", content=(Text(text=work.system), *own))
        messages = (system, *(messages[1:] if own else messages))
    return replace(sample, request=replace(sample.request, messages=messages, settings=work.generation))
