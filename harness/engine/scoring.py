"""Rubrics that score a split at once: after its last answer, one verdict line for each.

A scorer is given the answers alone: what failed, was blocked or is empty stays with the outcomes. Each epoch is scored
by itself, so that no scorer meets a sample twice. Its lines count only for the answers that were scored together
(`harness.store.together`): where one of them changes, all are scored anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.contracts import Answered, Decision
from harness.engine.carrier import show
from harness.engine.judging import Bench, Call, RubricError, call, checked, judgement, told, unscored
from harness.engine.work import Waiting, Work
from harness.errors import HarnessError
from harness.store.records import Judgement, verdict_line
from harness.store.together import TOGETHER, Scored, answered, together
from harness.types import Request, Response, Unscored


async def score_all(work: Work) -> list[str]:
    """Score the answers of a split that wait, by each rubric that wants them all; nothing once the run was stopped.

    Returns:
        What a person should read: which rubric could not be given all.
    """
    benches = [pair for pair in enumerate(work.benches) if pair[1][0].rubric.scope == "split"]
    waiting = sorted(work.waiting, key=lambda each: (each.epoch, each.sample.id)) if benches else []
    kept = answered(work.kept(), work.books.responses) if waiting else {}
    notes: list[str] = []
    for number, (bench, translation) in benches:
        for epoch in range(work.epochs):
            rows = [each for each in waiting if each.epoch == epoch]
            if rows and bench.dead is None and not work.stop.asked:
                here = {each.sample.id for each in rows}
                others = [answer for answer in kept.get(epoch, ()) if answer[0] not in here]
                scoring = _Scoring(work, bench, rows, others, translation if number == 0 else None)
                notes += await scoring.run()
    return list(dict.fromkeys(notes))


class _Scoring:
    """One epoch of a split and one rubric.

    Args:
        rows: what waits to be scored.
        others: answers that stand beside them, whose samples are not here.
        shown: how its labels are shown; None where they are not.
    """

    def __init__(
        self,
        work: Work,
        bench: Bench,
        rows: Sequence[Waiting],
        others: Sequence[Scored],
        shown: Mapping[str, str] | None,
    ) -> None:
        self._work = work
        self._bench = bench
        self._rows = {each.record.item: each for each in rows}
        self._others = others
        self._shown = shown
        self._journal = work.books.verdicts[bench.id]
        self._together = together([*others, *((each.sample.id, each.key, each.answer) for each in rows)])

    async def run(self) -> list[str]:
        """Score what is not; a note where that cannot be done."""
        stored = [self._stored(each) for each in self._rows.values()]
        lines = [line for line in stored if line is not None]
        if len(lines) == len(stored):
            for each, line in zip(self._rows.values(), lines, strict=True):
                self._show(each, line, fresh=False)
            return []
        if self._others:
            return [self._lacking()]
        await self._score()
        return []

    def _lacking(self) -> str:
        work = self._work
        return (
            f"{work.display}:{work.name} was not scored by {self._bench.id}, which scores all answers at once: "
            f"{len(self._others)} that stand in the folder were not asked for now as they were then; run it again with "
            "the --limit and the data they were asked with, or with --fresh"
        )

    async def _score(self) -> None:
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
        flagged = replace(made, flags=self._bench.flag(each.response))
        line = {**verdict_line(each.sample, each.epoch, each.key, each.answer, flagged), TOGETHER: self._together}
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
                    made = judgement(_checked(bench, item, decision, left), asking.calls.get(item, ()))
                    left.remove(item)
                    yield item, made
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of the samples
            bench.note(error)
            fault = told(error)
    for item in sorted(left) if asking.dead is None else ():
        yield item, judgement(Unscored(state="judge_error", message=fault), asking.calls.get(item, ()))


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
        calls: each item's, in the order they ended.
        dead: why the model will never work.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.calls: dict[str, list[Call]] = {}
        self.dead: HarnessError | None = None

    async def __call__(self, item: str, request: Request) -> Response | Unscored:
        try:
            result = await self._bench.send(request)
        except HarnessError as error:
            self.dead = self.dead or error
            raise
        self.calls.setdefault(item, []).append(call(request, result))
        state = unscored(result)
        if state is not None:
            return state
        assert isinstance(result, Response)
        return result
