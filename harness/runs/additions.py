"""Judges that are added to a run that has ended: decisions that no call gave, and the files of the run computed again.

A person is such a judge, `human-NAME`: its labels are the words of the split, without a rubric or a translation.
"""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.runs.items import Answer
from harness.runs.results import HUMAN, ComputedResults, ResultsInput, compute_results
from harness.runs.writer import format_time
from harness.store.folder import RunFolder
from harness.store.records import Judgement, decision_of, verdict_line
from harness.store.run_file import Invocation, RunFile
from harness.types import Json, Request, Sample, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedJudge:
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


def write_decisions(
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


def add_judges(
    folder: RunFolder, added: Sequence[AddedJudge], *, command: Sequence[str], started: float
) -> ComputedResults:
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
        started=format_time(started),
        finished=format_time(now),
        seconds=round(now - started, 3),
        command=tuple(command),
        tasks=tuple(plan.title for plan in plans),
        end="done",
        reason="",
    )

    def noted(old: RunFile | None) -> RunFile:
        new = _enter_judges(_require_run(old, folder), added)
        return replace(new, history=(*new.history, entry))

    with folder.hold_for_writing():
        folder.rewrite_run(noted)
        folder.log(f"{entry.started} done {shlex.join(command)}")
        conclusion = ResultsInput(folder=folder, run=_require_run(folder.run, folder), plans=plans, command=command)
        with folder.changing("results.json") as results:
            concluded = compute_results(conclusion, dict(results))
            results.clear()
            results.update(concluded.results)
    return concluded


def _enter_judges(run: RunFile, added: Sequence[AddedJudge]) -> RunFile:
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


def _require_run(run: RunFile | None, folder: RunFolder) -> RunFile:
    if run is None:
        raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file")
    return run


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,40}")
#: what results.json says of a person
_CARD: Mapping[str, Any] = {
    "rubric": HUMAN,
    "version": "",
    "template_hash": "",
    "fidelity": None,
    "model": None,
    "resolved": [],
    "settings": {},
    "sees": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLabel:
    """What a person says of one answer; the label is one of the split's."""

    answer: Answer
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredLabels:
    """What became of some labels.

    Attributes:
        new: labels of answers that had none by this person.
        changed: labels that replace another one.
        same: labels that stood there already.
        concluded: the results anew.
    """

    new: int
    changed: int
    same: int
    concluded: ComputedResults


def person_id(name: str, run: RunFile) -> str:
    """The judge's id of a person. Raises HarnessError for what cannot name one, or names another judge's file."""
    if not _NAME.fullmatch(name):
        raise HarnessError(f"{name!r} cannot name a person", remedy="letters, digits and . _ + - (at most 41)")
    judge = f"{HUMAN}-{name}"
    taken = next((known for known in run.judges if known.casefold() == judge.casefold()), judge)
    if taken != judge or run.judges.get(judge, _CARD)["rubric"] != HUMAN:
        raise HarnessError(f"{judge} would share its file with the judge {taken}", remedy="give another name")
    return judge


def enter_labels(
    folder: RunFolder,
    judge: str,
    labels: Sequence[PersonLabel],
    plans: Sequence[SplitPlan],
    *,
    command: Sequence[str],
    primary: bool = False,
) -> EnteredLabels:
    """Write labels beside the verdicts of the other judges, and conclude the run anew.

    Args:
        folder: of the run.
        judge: see `judge_id`.
        labels: no answer twice.
        plans: the splits they are of.
        command: this invocation's arguments.
        primary: make this judge the one whose numbers stand first.
    """
    started = time.time()
    counts: Counter[str] = Counter()
    for display in dict.fromkeys(label.answer.display for label in labels):
        own = [(label.answer, label.verdict) for label in labels if label.answer.display == display]
        counts.update(write_decisions(folder, display, judge, own))
    stands: Literal["first", "beside"] = "first" if primary else "beside"
    added = [AddedJudge(plan=plan, judge=judge, card=_CARD, stands=stands) for plan in plans]
    concluded = add_judges(folder, added, command=command, started=started)
    return EnteredLabels(new=counts["new"], changed=counts["changed"], same=counts["same"], concluded=concluded)
