"""The queue of a run's batches: fills them with the requests of a walk, submits them, and collects their answers.

A walk goes over all samples as a live run does. A request whose answer a batch has brought is answered at once; any
other is put into a part, and its sample waits. A part that is full is submitted while the walk goes on, so the disk
holds one part of each model; the rest is submitted when the walk ends. Each walk gets a sample one call further.

The process may end at any moment. What the provider may have is written down before it gets it (`harness.batches.log`);
a part that was announced and has no id is looked for at the provider, by its mark.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Final, TypeVar

import anyio

from harness.batches.log import WHO, BatchLog, BatchRecord, ForeignBatch
from harness.batches.side import CheckedBatches
from harness.errors import BudgetSpent, Forbidden, HarnessError
from harness.files import report_write_errors
from harness.http.batching import Batches, CallFailed, wrong_shape
from harness.limits.endpoints import Policy
from harness.limits.quota import Budget
from harness.text import one_line

_T = TypeVar("_T")
FIRST_SECONDS: float = 10.0  #: between the first looks at a batch; each later wait is half as long again
LONGEST_SECONDS: float = 300.0
#: a provider may list a batch some seconds after it was made; a killed submission is looked for no earlier
SETTLE_SECONDS: float = 20.0
#: batches that may end without a result for a request, before that is its outcome
MOST_UNANSWERED: Final = 6
_UNHEARD: Final = frozenset({"timeout", "connection", "not_json"})  # reasons that leave open what the server did


class BatchesPending(Exception):
    """Batches are on their way: the invocation ends, and the same command goes on later.

    Attributes:
        open: the batches.
        commands: what a person must do for them.
    """

    def __init__(self, open_: list[BatchRecord], commands: tuple[str, ...] = ()) -> None:
        self.open = open_
        self.commands = commands
        requests = sum(part.requests for part in open_)
        super().__init__(f"{_count(len(open_), 'batch', 'batches')} with {_count(requests, 'request')} not ended yet")


class TooLargeForBatch(HarnessError):
    """A request alone is larger than a batch's file may be."""


class NoResult(HarnessError):
    """A request had no result in several batches that ended."""


@dataclass(slots=True, kw_only=True)
class Channel:
    """What one model's requests are asked through.

    Attributes:
        name: tells it from others, in every invocation alike.
        model: the model's reference.
        side: the model's batch side.
        file: the part that is being filled; None between parts.
        names: of the requests in it -> the most dollars that each may cost; None if unknown.
        size: its bytes.
    """

    name: str
    model: str
    side: CheckedBatches
    part: str = ""
    file: IO[bytes] | None = None
    names: dict[str, Decimal | None] = field(default_factory=dict[str, "Decimal | None"])
    size: int = 0


class BatchQueue:
    """The batches of one invocation.

    Args:
        folder: the run folder.
        policy: tries and back-off of the calls about batches.
        tell: receives a line for the user.
        wait: wait for batches instead of ending.
        budget: limits the dollars; a request counts as the most that it may cost until its answer is read.

    Attributes:
        pending: requests of this walk that wait.
        notes: for the user, at the end.

    Raises HarnessError if a limit cannot be kept: it is unknown what an open batch may cost.
    """

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        *,
        tell: Callable[[str], None],
        wait: bool = False,
        budget: Budget | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = BatchLog(folder)
        self.pending = 0
        self._budget = budget or Budget()
        self._filling = Decimal()  # dollars of requests in parts that are not announced yet
        self._over: BudgetSpent | None = None  # why a request of this walk does not fit into the budget
        self._left_out = self._settled = 0  # requests of this walk that do not fit; answers that it read first
        if self._budget.limit is not None and self.log.unpriced:
            self.log.close()
            raise HarnessError(
                f"--max-usd {self._budget.limit} cannot be kept: {_count(self.log.unpriced, 'request')} of open batches"
                " had no price when they were submitted",
                where=str(folder),
                remedy="leave --max-usd out until they are collected",
            )
        self._set_aside()
        self.notes: list[str] = []
        self._policy = policy
        self._tell = tell
        self._wait = wait
        self._channels: dict[str, Channel] = {}
        self._submitting = anyio.Lock()

    def close(self) -> None:
        """Drop parts that were never announced, and let other processes have the log."""
        for channel in self._channels.values():
            if channel.file is not None:  # the next walk gathers its requests again
                channel.file.close()
                self.log.requests_file(channel.part).unlink(missing_ok=True)
                channel.file = None
        self.log.close()

    async def attach(self, name: str, model: str, side: Batches) -> Channel:
        """The channel of an open model; collects its batches that have ended. Raises HarnessError."""
        checked = CheckedBatches(side)
        if name not in self._channels:
            self._channels[name] = Channel(name=name, model=model, side=checked)
            await self._look(self._channels[name])
        self._channels[name].side = checked
        return self._channels[name]

    def check_idle(self) -> None:
        """Raise BatchesPending if there is nothing to do but to wait: all is gathered, and no answer has come since."""
        open_ = self.log.list_open()
        if open_ and all(part.channel in self._channels for part in open_) and self.log.walked and not self._wait:
            self._report()
            raise BatchesPending(open_, self._list_commands())

    # ---- one walk

    def begin_walk(self) -> None:
        """Before all samples are gone over."""
        self.log.begin()
        self.pending = self._left_out = self._settled = 0
        self._over = None

    def settle(self, whose: str, dollars: Decimal | None) -> None:
        """Count what an answer cost, when it is first read; None if its price is unknown."""
        self._budget.spend(self.log.note_cost(whose, dollars))
        self._set_aside()
        self._settled += 1

    def lose(self, whose: str) -> Decimal:
        """Count an answer that cannot be read, though it may be billed; returns the most dollars that it may have cost.

        They are no cost, so `.batches/costs` has 0 for it; the invocation notes them with its other lost calls.
        """
        most = self.log.find_bound(whose)
        self.log.note_cost(whose, Decimal())
        self._budget.unanswered += most
        self._budget.spend(most)
        self._set_aside()
        self._settled += 1
        return most

    def _set_aside(self) -> None:
        self._budget.set_aside(self.log.held + self._filling)

    async def add(self, channel: Channel, name: str, body: bytes, what: str, dollars: Decimal | None = None) -> None:
        """Put a request into a part, unless it is in one, or does not fit into the budget.

        Args:
            channel: of its model.
            name: of the request.
            body: its line.
            what: the largest thing in it, for an error.
            dollars: the most that it may cost; None if unknown.

        Raises:
            TooLargeForBatch: it fits into no part.
            NoResult: batch after batch has ended without a result for it.
            HarnessError: a part cannot be written or submitted.
        """
        limits = channel.side.limits
        if self.log.is_waiting(name[:WHO]):
            self.pending += 1
            return
        if self.log.count_unanswered(name[:WHO]) >= MOST_UNANSWERED:
            raise NoResult(f"no result in {MOST_UNANSWERED} batches")
        if len(body) + 1 > limits.bytes:
            raise TooLargeForBatch(
                f"the request has {_megabytes(len(body))}{what}, and a batch's file takes {_megabytes(limits.bytes)}"
            )
        async with self._submitting:
            if channel.size + len(body) + 1 > limits.bytes or len(channel.names) >= limits.requests:
                await self._submit(channel)
            self._over = self._over or self._budget.find_excess(dollars)
            if self._over is not None:
                self.pending += 1
                self._left_out += 1
                return
            if channel.file is None:
                channel.part = os.urandom(8).hex()
                path = self.log.requests_file(channel.part)
                with report_write_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    channel.file = path.open("xb")
            with report_write_errors(self.log.requests_file(channel.part)):
                channel.file.write(body + b"\n")
            channel.names[name] = dollars
            channel.size += len(body) + 1
            self._filling += dollars or 0
            self._set_aside()
            self.pending += 1

    async def finish_walk(self, *, last: bool = True) -> bool:
        """Submit what the walk has gathered.

        Args:
            last: no walk of another phase follows, so the cycle may end.

        Returns:
            Whether to walk again, since answers have come or left dollars for more requests; False if nothing waits.

        Raises:
            BatchesPending: something waits, and this invocation does not wait for it.
            BudgetSpent: a request does not fit into the budget, and no open batch may leave enough for it.
            HarnessError: a batch cannot be submitted.
        """
        async with self._submitting:
            for channel in self._channels.values():
                await self._submit(channel)
        self.log.note_walk(whole=self._over is None)
        if not self.pending:
            if last and not self.log.list_open():
                self.log.end()
            return False
        if self._over is not None and self._settled:
            return True  # an answer that was read after a request did not fit may leave enough for it
        if self._over is not None and not self.log.list_open():
            raise self._over
        self._report()
        if self._over is not None:
            left = f"{_count(self._left_out, 'request')} not submitted: {self._over.what}"
            self._tell(left)
            self.notes += [] if self._wait else [left]
        if not self._wait:
            raise BatchesPending(self.log.list_open(), self._list_commands())
        for command in self._list_commands():
            self._tell(f"in another terminal: {command}")
        seconds, shown = FIRST_SECONDS, len(self.log.list_open())
        while True:  # until no attached channel has an open batch
            await anyio.sleep(seconds * random.uniform(0.8, 1.0))
            for channel in list(self._channels.values()):
                await self._look(channel)
            left_open = [part for part in self.log.list_open() if part.channel in self._channels]
            if not left_open:
                return True
            if len(left_open) != shown:
                shown = len(left_open)
                self._report()
            seconds = min(LONGEST_SECONDS, seconds * 1.5)

    # ---- submitting

    async def _submit(self, channel: Channel) -> None:
        """Announce the part of a channel, if there is one, and give it to the provider, once."""
        if channel.file is None:
            return
        part, path, names = channel.part, self.log.requests_file(channel.part), channel.names
        with report_write_errors(path):
            channel.file.flush()
            os.fsync(channel.file.fileno())
            channel.file.close()
        channel.part, channel.file, channel.names, channel.size = "", None, {}, 0
        record = BatchRecord(part=part, channel=channel.name, model=channel.model, requests=len(names))
        self.log.announce(record, names)
        self._filling -= sum((dollars for dollars in names.values() if dollars), Decimal())
        found = unsure = False

        async def submit() -> str:
            batch = await channel.side.submit(path, part)
            if batch in self._list_known():
                raise wrong_shape(f"the provider gave it the id {batch}, which another batch of this run has")
            return batch

        async def find_made(failed: CallFailed) -> str | None:
            # the batch may have been made, though no answer came back
            nonlocal found, unsure
            unsure = True
            if failed.failure.reason in _UNHEARD:
                await anyio.sleep(SETTLE_SECONDS)
            batch = await self._find(channel, self.log.parts[part])
            found, unsure = batch is not None, False
            return batch

        try:
            batch = await self._try(submit, f"{channel.model}: a batch cannot be submitted", instead=find_made)
        except HarnessError as error:
            if not unsure:  # else the next command looks for it
                self._drop(part, error.what)
            raise
        self.log.note_submitted(part, batch, found=found)

    def _drop(self, part: str, why: str, *, count: bool = False, paid: bool = False) -> None:
        """Give a part up; what it may have cost is spent, or free again."""
        self._budget.spend(self.log.drop(part, why, count=count, paid=paid))
        self._set_aside()

    async def _find(self, channel: Channel, record: BatchRecord) -> str | None:
        known = self._list_known()
        return await self._try(
            lambda: channel.side.find(
                record.part, count=record.requests, since=record.submitted - SETTLE_SECONDS, known=known
            ),
            f"{channel.model}: the list of batches cannot be read",
        )

    def _list_known(self) -> set[str]:
        """The ids of all batches of this run, and of those of others that were taken for one."""
        return self.log.foreign | {part.batch for part in self.log.parts.values() if part.batch}

    # ---- collecting

    async def _look(self, channel: Channel) -> bool:
        """Look at the open batches of a channel once, and collect those that have ended; whether anything changed."""
        changed = False
        for record in self.log.list_open(channel.name):
            if record.stage == "submitting":
                # an earlier process announced it: did the provider get it?
                await anyio.sleep(max(0.0, min(SETTLE_SECONDS, record.submitted + SETTLE_SECONDS - time.time())))
                found = await self._find(channel, record)
                if found is None:
                    self._drop(record.part, "the provider never got it")
                    changed = True
                    continue
                self.log.note_submitted(record.part, found, found=True)
                record = self.log.parts[record.part]
            if record.stage == "open":
                changed |= await self._look_at(channel, record)
        return changed

    async def _look_at(self, channel: Channel, record: BatchRecord) -> bool:
        """Look at one batch; whether it has ended."""
        what = f"{channel.model}: batch {record.batch}"
        try:
            state = await self._try(lambda: channel.side.poll(record.batch), f"{what} cannot be read")
        except Forbidden as gone:
            if await self._is_refused(channel):
                raise
            return self._give_up(record, f"the provider no longer knows it: {gone.what}", count=True)
        if state.state == "open":
            self.log.note_state(record.part, done=min(state.done, record.requests), said=state.message)
            return False
        if state.state == "failed":
            if state.later:
                return self._give_up(record, state.message)
            self._drop(record.part, state.message, count=True)
            raise HarnessError(
                f"{what} was refused: {state.message}",
                remedy="fix that, then run the same command again: it asks these requests again",
            )

        async def collect() -> BatchRecord:
            return await self.log.collect(record.part, channel.side.results(record.batch))

        try:
            collected = await self._try(collect, f"{what}: its results cannot be read")
        except Forbidden as gone:
            if await self._is_refused(channel):
                raise
            return self._give_up(record, f"its results are gone: {gone.what}", count=True)
        except ForeignBatch:
            return await self._search_on(channel, record)
        self._set_aside()
        left = collected.requests - collected.answered
        again = f"; {left} without a result are asked again" if left else ""
        self._tell(
            f"batch {record.batch} ({channel.model}): {collected.answered} of {collected.requests} answers{again}"
        )
        return True

    async def _search_on(self, channel: Channel, record: BatchRecord) -> bool:
        """Look for the batch of a part again, since the one that was found is of another run; as `_look_at`."""
        self.log.note_foreign(record.part)
        found = await self._find(channel, record)
        if found is None:
            return self._give_up(record, "it is of another run, and the provider has none of this one")
        self.log.note_submitted(record.part, found, found=True)
        return await self._look_at(channel, self.log.parts[record.part])

    def _give_up(self, record: BatchRecord, why: str, *, count: bool = False) -> bool:
        note = f"batch {record.batch} ({record.model}): {why}; its {record.requests} requests are asked again"
        self._drop(record.part, why, count=count, paid=count)
        self._tell(note)
        self.notes.append(note)
        return True

    async def _is_refused(self, channel: Channel) -> bool:
        """Whether the provider refuses all calls about batches, so that one that is forbidden is not gone."""
        try:
            await self._try(
                lambda: channel.side.find("0" * 16, count=-1, since=time.time() + 1e6, known=()),
                f"{channel.model}: the list of batches cannot be read",
            )
        except Forbidden:
            return True
        return False

    def _report(self) -> None:
        parts = self.log.list_open()
        requests, done = sum(part.requests for part in parts), sum(part.done for part in parts)
        progress = f", {done} of them answered" if done else ""
        self._tell(
            f"batches: {_count(len(parts), 'batch', 'batches')} with {_count(requests, 'request')} wait{progress}"
        )

    def _list_commands(self) -> tuple[str, ...]:
        """What a person must do for the open batches."""
        known = [(self._channels.get(part.channel), part.batch) for part in self.log.list_open()]
        return tuple(filter(None, (channel.side.advise(batch) for channel, batch in known if channel and batch)))

    async def _try(
        self,
        call: Callable[[], Awaitable[_T]],
        what: str,
        *,
        instead: Callable[[CallFailed], Awaitable[_T | None]] | None = None,
    ) -> _T:
        """Await a call about a batch, with the policy's tries. Raises HarnessError.

        Args:
            call: makes one try.
            what: what cannot be done if it fails, for the error.
            instead: finds what a failed try may have made all the same; None if it made nothing.
        """
        tries, longest = 0, self._policy.longest
        while True:
            tries += 1
            try:
                return await call()
            except CallFailed as failed:
                made = None if instead is None else await instead(failed)
                if made is not None:
                    return made
                given = failed.failure.retry_after
                wait = given if given is not None and given > 0 else 0.0  # NaN gives 0
                too_long = wait > self._policy.patience
                if not failed.failure.transient or tries >= self._policy.tries or too_long:
                    remedy = "run the same command again: batches and their answers are kept"
                    asked = f"; it asks to wait {wait:.0f} s" if too_long else ""
                    raise HarnessError(f"{what}: {one_line(str(failed), 500)}{asked}", remedy=remedy) from failed
                await anyio.sleep(max(wait, random.uniform(0, min(longest, self._policy.base * 2**tries))))


def _count(number: int, word: str, words: str = "") -> str:
    return f"{number:,} {word if number == 1 else words or word + 's'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"
