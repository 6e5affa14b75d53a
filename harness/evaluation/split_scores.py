"""Rubrics that score a split at once: after its last answer they write one verdict line for each answer.

A scorer gets only answers, without those that failed, were blocked or are empty. Each epoch is scored alone, so that no
scorer gets a sample twice. Its lines count only for the answers that were scored together (`harness.store.reader`):
if one of these changes, all are scored again.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.contracts import Answered
from harness.errors import BudgetSpent, HarnessError
from harness.evaluation.judges import (
    Call,
    OpenJudge,
    RubricError,
    build_call,
    build_judgement,
    check_decision,
    describe_failure,
    find_unscored,
)
from harness.evaluation.samples import PendingAnswer, SplitContext, show_verdict
from harness.store.reader import TOGETHER, ScoredAnswer, digest_answers, list_answers
from harness.store.records import Judgement, verdict_line
from harness.types import Request, Response, Unscored


async def score_split(context: SplitContext) -> list[str]:
    """Score the pending answers of a split by each rubric that needs them all, unless the run was stopped.

    Returns:
        A note for each rubric that did not get all answers.
    """
    judges = [pair for pair in enumerate(context.judges) if pair[1][0].rubric.scope == "split"]
    pending = sorted(context.pending, key=lambda each: (each.epoch, each.sample.id)) if judges else []
    kept = list_answers(context.kept(), context.journals.responses) if pending else {}
    notes: list[str] = []
    for number, (judge, translation) in judges:
        for epoch in range(context.epochs):
            answers = [each for each in pending if each.epoch == epoch]
            if not answers or judge.dead is not None or context.stop.asked:
                continue
            here = {each.sample.id for each in answers}
            others = [answer for answer in kept.get(epoch, ()) if answer[0] not in here]
            shown = translation if number == 0 else None
            notes += await _score_epoch(context, judge, answers, others, shown)
    return list(dict.fromkeys(notes))


async def _score_epoch(
    context: SplitContext,
    judge: OpenJudge,
    answers: Sequence[PendingAnswer],
    others: Sequence[ScoredAnswer],
    shown: Mapping[str, str] | None,
) -> list[str]:
    """Score one epoch of a split by one rubric, unless its stored lines still count; returns a note if it cannot.

    Args:
        context: the split's context.
        judge: the rubric's judge.
        answers: the answers to score.
        others: stored answers whose samples this run does not take.
        shown: translation of the labels for the display; None shows nothing.
    """
    journal = context.journals.verdicts[judge.id]
    mark = digest_answers([*others, *((each.sample.id, each.key, each.answer) for each in answers)])
    lines: list[tuple[PendingAnswer, dict[str, Any]]] = []
    for each in answers:
        found = journal.find(*each.where)
        if found is not None and found[1] not in context.retry:
            line = journal.read(found[0])
            if line.get(TOGETHER) == mark:
                lines.append((each, line))
    if len(lines) == len(answers):
        for each, line in lines if shown is not None else ():
            show_verdict(context, each.record, shown or {}, line, False)
        return []
    if others:
        what = f"{context.display}:{context.name} was not scored by {judge.id}, which scores all answers at once"
        why = f"{len(others)} answers in the folder were asked with another --limit or other data"
        return [f"{what}: {why}; run it again with those, or with --fresh"]
    ask = _Ask(judge)
    by_item = {each.record.item: each for each in answers}
    async with aclosing(_score(judge, by_item, ask)) as scored:
        async for item, judgement in scored:
            each = by_item[item]
            flagged = replace(judgement, flags=judge.find_flags(each.response))
            written = {**verdict_line(each.sample, each.epoch, each.key, each.answer, flagged), TOGETHER: mark}
            journal.append(written, *each.where, state=str(written["state"]))
            context.observers.verdict_added(each.sample, each.response, judgement.decision)
            if shown is not None:
                show_verdict(context, each.record, shown, written, True)
    judge.dead = judge.dead or ask.dead
    if isinstance(ask.dead, BudgetSpent):
        context.stop.because(ask.dead)
    return []


async def _score(
    judge: OpenJudge, answers: Mapping[str, PendingAnswer], ask: _Ask
) -> AsyncGenerator[tuple[str, Judgement]]:
    """Yield a judgement for each item; raises nothing.

    If a scorer raises or leaves items out, the remaining items become a `judge_error`. If the judge's model will never
    work, they stay unjudged.
    """
    left = set(answers)
    fault = "the scorer returned no decision"
    with tempfile.TemporaryDirectory(prefix="harness-score-", ignore_cleanup_errors=True) as folder:
        try:
            async with aclosing(_call_scorer(judge, answers, Path(folder), ask)) as decided:
                async for item, decision in decided:
                    if item not in left:
                        raise RubricError(
                            f"the scorer decided on {item!r:.200}, which is unknown or already has a decision"
                        )
                    judgement = build_judgement(check_decision(judge.rubric, decision), ask.calls.get(item, ()))
                    left.remove(item)
                    yield item, judgement
        except Exception as error:  # noqa: BLE001 - what a plugin raises is a state of the samples
            judge.note_fault(error)
            fault = describe_failure(error)
    for item in sorted(left) if ask.dead is None else ():
        yield item, build_judgement(Unscored(state="judge_error", message=fault), ask.calls.get(item, ()))


async def _call_scorer(
    judge: OpenJudge, answers: Mapping[str, PendingAnswer], folder: Path, ask: _Ask
) -> AsyncGenerator[tuple[Any, Any]]:
    """Yield what the plugin's scorer yields, unchecked; closes its generator too."""
    assert judge.rubric.score is not None
    given = [Answered(item=item, sample=each.sample, response=each.response) for item, each in answers.items()]
    decided = judge.rubric.score(given, folder, ask)
    try:
        async for item, decision in decided:
            yield item, decision
    finally:
        if isinstance(decided, AsyncGenerator):
            await decided.aclose()


class _Ask:
    """The judge's model, which a scorer may ask.

    Attributes:
        calls: each item's calls, in the order they ended.
        dead: the error after which the model will never work.
    """

    def __init__(self, judge: OpenJudge) -> None:
        self._judge = judge
        self.calls: dict[str, list[Call]] = {}
        self.dead: HarnessError | None = None

    async def __call__(self, item: str, request: Request) -> Response | Unscored:
        try:
            result = await self._judge.send(request)
        except HarnessError as error:
            self.dead = self.dead or error
            raise
        self.calls.setdefault(item, []).append(build_call(request, result))
        state = find_unscored(result)
        if state is not None:
            return state
        assert isinstance(result, Response)
        return result
