"""Rubrics that score a split at once: after its last answer, one verdict line for each.

A scorer is given the answers alone: what failed, was blocked or is empty stays with the outcomes. Each epoch is scored
by itself, so that no scorer meets a sample twice. Its lines carry a digest of all answers that were scored together:
where one of them changes, all are scored anew, since a scorer may make one number of several answers.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from harness.contracts import Answered, Decision
from harness.engine.carrier import show
from harness.engine.judging import Bench, RubricError, checked, judgement, told, unscored
from harness.engine.work import Waiting, Work
from harness.errors import HarnessError
from harness.keys import digest
from harness.store.records import Judgement, verdict_line
from harness.types import Failure, Request, Response, Unscored

TOGETHER = "together"  #: field of a verdict line: the digest of all that was scored with it


async def score_all(work: Work) -> None:
    """Score the answers of a split that wait, by each rubric that wants them all; nothing once the run was stopped."""
    waiting = sorted(work.waiting, key=lambda each: (each.epoch, each.sample.id))
    for number, (bench, translation) in enumerate(work.benches):
        for epoch in range(work.epochs) if bench.rubric.scope == "split" else ():
            rows = [each for each in waiting if each.epoch == epoch]
            if rows and bench.dead is None and not work.stop.asked:
                await _Scoring(work, bench, rows, translation if number == 0 else None).run()


class _Scoring:
    """One epoch of a split and one rubric."""

    def __init__(self, work: Work, bench: Bench, rows: Sequence[Waiting], shown: Mapping[str, str] | None) -> None:
        self._work = work
        self._bench = bench
        self._rows = {each.record.item: each for each in rows}
        self._shown = shown
        self._journal = work.books.verdicts[bench.id]
        self._together = digest([[each.sample.id, each.key, each.answer] for each in rows])

    async def run(self) -> None:
        stored = [self._stored(each) for each in self._rows.values()]
        lines = [line for line in stored if line is not None]
        if len(lines) == len(stored):
            for each, line in zip(self._rows.values(), lines, strict=True):
                self._show(each, line, fresh=False)
            return
        asking = _Asking(self._bench)
        async with aclosing(_judgements(self._bench, self._rows, asking)) as found:
            async for item, made in found:
                self._write(self._rows[item], made)
        self._bench.dead = self._bench.dead or asking.dead

    def _stored(self, each: Waiting) -> dict[str, Any] | None:
        """The line that stands; None where there is none, it is tried again, or it was scored with other answers."""
        found = self._journal.find(*_where(each))
        if found is None or found[1] in self._work.retry:
            return None
        line = self._journal.read(found[0])
        return line if line.get(TOGETHER) == self._together else None

    def _write(self, each: Waiting, made: Judgement) -> None:
        line = {**verdict_line(each.sample, each.epoch, each.key, each.answer, made), TOGETHER: self._together}
        self._journal.append(line, *_where(each), state=str(line["state"]))
        self._work.progress.spent(made.usage)
        self._work.observers.verdict_added(each.sample, each.response, made.decision)
        self._show(each, line, fresh=True)

    def _show(self, each: Waiting, line: Mapping[str, Any], *, fresh: bool) -> None:
        if self._shown is not None:
            show(self._work, each.record, self._shown, line, fresh)


def _where(each: Waiting) -> tuple[object, ...]:
    return (each.sample.split, each.sample.id, each.epoch, each.key, each.answer)


async def _judgements(
    bench: Bench, rows: Mapping[str, Waiting], asking: _Asking
) -> AsyncGenerator[tuple[str, Judgement]]:
    """A judgement for each item; no exception leaves.

    A scorer that raises, or leaves items out, is a `judge_error` of those that are left. They stay unjudged where it
    raises because the judge's model will never work.
    """
    left = set(rows)
    fault = "the scorer gave no decision"
    with tempfile.TemporaryDirectory(prefix="harness-score-", ignore_cleanup_errors=True) as folder:
        try:
            async with aclosing(_decided(bench, rows, Path(folder), asking)) as decided:
                async for item, decision in decided:
                    made = judgement(_checked(bench, item, decision, left), asking.spent.get(item, ()))
                    left.remove(item)
                    yield item, made
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of the samples
            fault = told(error)
    for item in sorted(left) if asking.dead is None else ():
        yield item, judgement(Unscored(state="judge_error", message=fault), asking.spent.get(item, ()))


def _checked(bench: Bench, item: object, decision: object, left: set[str]) -> Decision:
    if item not in left:
        raise RubricError(f"the scorer decided on {item!r:.200}, which is not there or was decided on before")
    return checked(bench.rubric, decision)


async def _decided(
    bench: Bench, rows: Mapping[str, Waiting], folder: Path, asking: _Asking
) -> AsyncGenerator[tuple[Any, Any]]:
    """What the plugin gives, whatever that is."""
    assert bench.rubric.score is not None
    given = [Answered(item=item, sample=each.sample, response=each.response) for item, each in rows.items()]
    decided = bench.rubric.score(given, folder, asking)
    try:
        async for item, decision in decided:
            yield item, decision
    finally:
        if isinstance(decided, AsyncGenerator):
            await decided.aclose()


class _Asking:
    """The judge's model as a scorer may ask it.

    Attributes:
        spent: what each item's calls gave.
        dead: why the model will never work.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.spent: dict[str, list[Response | Failure]] = {}
        self.dead: HarnessError | None = None

    async def __call__(self, item: str, request: Request) -> Response | Unscored:
        try:
            result = await self._bench.send(request)
        except HarnessError as error:
            self.dead = self.dead or error
            raise
        self.spent.setdefault(item, []).append(result)
        state = unscored(result)
        if state is not None:
            return state
        assert isinstance(result, Response)
        return result
