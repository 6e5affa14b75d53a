"""`harness judge --combine majority`: one more judge, made of the verdicts that a run's judges have given.

Nobody is asked and no data is read. Labels are compared in the words of the split's metrics, so that rubrics of
different words can be put together.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.options import Judging
from harness.plan.splits import SplitPlan
from harness.runs.amending import amend, write
from harness.runs.answers import Answer, answers
from harness.runs.conclude import Concluded
from harness.runs.ensembles import Ensemble, Votes, majority
from harness.runs.past import stored
from harness.runs.running import Run
from harness.store.folder import RunFolder
from harness.store.records import decision_of
from harness.store.run_file import RunFile
from harness.types import Verdict


def combine(folder: Path, judging: Judging) -> Run:
    """Put the verdicts of a run's judges together, each split's for itself, and conclude the run anew.

    Args:
        folder: of the run.
        judging: which tasks, and whether the ensemble is to be the primary judge; it names no judges.

    Raises:
        HarnessError: there is no run, or no split with verdicts of two judges.
    """
    started = time.time()
    judging.check()
    run = RunFolder(folder)
    file, _, assignments = stored(run, judging)
    made = [each for one in assignments if (each := _combined(run, file, one.plan)) is not None]
    if not made:
        remedy = f"harness judge {shlex.quote(str(folder))} --judge RUBRIC=SCHEME/NAME, with another judge"
        raise HarnessError("an ensemble needs the verdicts of two judges", where=str(folder), remedy=remedy)
    plans = [each.plan for each in made]
    concluded = amend(run, lambda old: _entered(old, made, judging), plans, command=judging.command, started=started)
    notes = tuple(_short(concluded, made))
    return Run(folder=folder, results=concluded.results, exit_code=3 if notes else 0, notes=notes)


def _combined(run: RunFolder, file: RunFile, plan: SplitPlan) -> Ensemble | None:
    """The ensemble of one split, its verdicts written; None where fewer than two judges have given any verdict."""
    heard = list(_heard(run, file, plan))
    able = {judge for _, votes in heard for judge, vote in votes.items() if isinstance(vote, Verdict)}
    if len(able) < 2:
        return None
    made = Ensemble(plan=plan, members=tuple(sorted(able)))
    decided = [(answer, majority({judge: votes[judge] for judge in made.members})) for answer, votes in heard]
    write(run, plan.display, made.id, decided)
    return made


def _heard(run: RunFolder, file: RunFile, plan: SplitPlan) -> Iterator[tuple[Answer, Votes]]:
    """Each answer of a split with what each judge said of it, in the split's words."""
    folder = run.task(plan.display)
    rubrics = {judge: str(file.judges[judge]["rubric"]) for judge in folder.judges() if judge in file.judges}
    words = {judge: plan.split.judges[rubric] for judge, rubric in rubrics.items() if rubric in plan.split.judges}
    with ExitStack() as stack:
        journals = {judge: folder.verdicts(judge, write=False) for judge in words}
        for journal in journals.values():
            stack.callback(journal.close)
        for answer in answers(run, plan.display, plan.name):
            if answer.outcome != "answered":
                continue
            found = {judge: journal.find(*answer.place) for judge, journal in journals.items()}
            votes = {
                judge: None if line is None else _said(decision_of(journals[judge].read(line[0])), words[judge])
                for judge, line in found.items()
            }
            yield answer, votes


def _said(decision: Decision, words: Mapping[str, str]) -> Decision:
    if isinstance(decision, Verdict):
        return replace(decision, label=words.get(decision.label, decision.label))
    return decision


def _entered(file: RunFile, made: Sequence[Ensemble], judging: Judging) -> RunFile:
    tasks = dict(file.tasks)
    for each in made:
        task = tasks[each.plan.display]
        split = task.splits[each.plan.name]
        least = split.min_coverage if judging.min_coverage is None else judging.min_coverage
        first = each.id if judging.primary or split.judge is None else split.judge
        splits = {**task.splits, each.plan.name: replace(split, judge=first, min_coverage=least)}
        tasks[each.plan.display] = replace(task, splits=splits)
    return replace(file, tasks=tasks, judges={**file.judges, **{each.id: each.card for each in made}})


def _short(concluded: Concluded, made: Sequence[Ensemble]) -> Iterator[str]:
    """What keeps each split incomplete that is so as its ensemble sees it."""
    for each in made:
        title, fault = each.plan.title, concluded.unscored.get(each.plan.display)
        if fault is not None:
            yield f"{title} could not be scored: its task raised {fault}"
            continue
        split: Mapping[str, Any] = concluded.results["tasks"][each.plan.display]["splits"][each.plan.name]
        view = split if split["judge"] == each.id else split["other_judges"][each.id]
        if not view["complete"]:
            left = [f"{state} {count}" for state, count in view["verdicts"].items() if count and state != "scored"]
            told = ", ".join((f"coverage {view['coverage']:.1%}", *left))
            yield f"{title} is incomplete: {told}"
