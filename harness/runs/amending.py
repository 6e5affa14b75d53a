"""Adding to a run that has ended: decisions that no judge's call gave, and the run's own files anew."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.runs.answers import Answer
from harness.runs.conclude import Concluded, Conclusion, conclude
from harness.store.folder import RunFolder
from harness.store.records import Judgement, decision_of, verdict_line
from harness.store.run_file import Invocation, RunFile
from harness.types import Json, Request, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A judge that one split of a run gets.

    Attributes:
        plan: the split.
        judge: its id.
        card: what results.json says of it.
        stands: which figures stand first: its own, or its own where no judge's do, or those of who stood first before.
        min_coverage: share of records that must be resolved; None for what the run has.
        drawn: last place (`harness.keys.draw_order`) of the random part that it has judged; None where it is none.
    """

    plan: SplitPlan
    judge: str
    card: Mapping[str, Json]
    stands: Literal["first", "first of none", "beside"]
    min_coverage: float | None = None
    drawn: str | None = None


def write(
    folder: RunFolder, display: str, judge: str, decided: Iterable[tuple[Answer, Decision]]
) -> Counter[Literal["new", "changed", "same"]]:
    """Write what one judge says of a task's answers, but for what stands there already; how many are which."""
    counts: Counter[Literal["new", "changed", "same"]] = Counter()
    with folder.hold_for_writing(), closing(folder.task(display).verdicts(judge, write=True)) as journal:
        for answer, decision in decided:
            found = journal.find(*answer.place)
            if found is not None and decision_of(journal.read(found[0])) == decision:
                counts["same"] += 1
                continue
            counts["new" if found is None else "changed"] += 1
            asked = answer.asked
            sample = Sample(id=asked["id"], split=asked["split"], request=Request(messages=()))
            judged = Judgement(decision=decision)
            line = verdict_line(sample, asked["epoch"], asked["key"], answer.hash, judged)
            journal.append(line, *answer.place, state=line["state"])
    return counts


def amend(folder: RunFolder, added: Sequence[Added], *, command: Sequence[str], started: float) -> Concluded:
    """Enter judges in run.json, note the invocation there, and conclude the run anew.

    Args:
        folder: of the run.
        added: the judges, their verdicts written.
        command: this invocation's arguments.
        started: Unix time in seconds.

    Raises:
        HarnessError: run.json is gone.
    """
    now = time.time()
    plans = [each.plan for each in added]
    entry = Invocation(
        started=_iso(started),
        finished=_iso(now),
        seconds=round(now - started, 3),
        command=tuple(command),
        tasks=tuple(plan.title for plan in plans),
        end="done",
        reason="",
    )

    def noted(old: RunFile | None) -> RunFile:
        new = _entered(_there(old, folder), added)
        return replace(new, history=(*new.history, entry))

    with folder.hold_for_writing():
        folder.rewrite_run(noted)
        folder.log(f"{entry.started} done {shlex.join(command)}")
        conclusion = Conclusion(folder=folder, run=_there(folder.run, folder), plans=plans, command=command)
        with folder.changing("results.json") as results:
            concluded = conclude(conclusion, dict(results))
            results.clear()
            results.update(concluded.results)
    return concluded


def _entered(run: RunFile, added: Sequence[Added]) -> RunFile:
    tasks = dict(run.tasks)
    for each in added:
        task = tasks[each.plan.display]
        split = task.splits[each.plan.name]
        own = each.stands == "first" or (each.stands == "first of none" and split.judge is None)
        least = split.min_coverage if each.min_coverage is None else each.min_coverage
        drawn = {judge: last for judge, last in split.drawn.items() if judge != each.judge}
        drawn |= {} if each.drawn is None else {each.judge: each.drawn}
        changed = replace(split, judge=each.judge if own else split.judge, min_coverage=least, drawn=drawn)
        tasks[each.plan.display] = replace(task, splits={**task.splits, each.plan.name: changed})
    return replace(run, tasks=tasks, judges={**run.judges, **{each.judge: dict(each.card) for each in added}})


def _there(run: RunFile | None, folder: RunFolder) -> RunFile:
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file")
    return run


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
