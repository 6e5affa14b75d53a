"""Adds judges to a finished run: ensembles of its judges, and people.

No model is called and no data is read: an added judge decides on stored answers, and the results are computed again.

`harness judge --combine majority` adds an ensemble, whose label is that of most of its members (`harness.runs.votes`).
Labels are compared in the words of the split's metrics, so rubrics with different labels can be combined.

A person is the judge `human-NAME`. Their labels are the split's words, without a rubric or a translation.
"""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.keys import short
from harness.runs.option_record import record_options
from harness.runs.results import ComputedResults, compute_results
from harness.runs.run import Run
from harness.runs.selection import load_jobs, select_judge_ids
from harness.runs.stored import COMBINED, HUMAN, StoredRun
from harness.runs.votes import VERSION, Changes, Votes, build_card, find_majority, read_vote, write_decisions
from harness.runs.writer import format_time
from harness.store.folder import RunFolder
from harness.store.reader import Answer
from harness.store.run_file import Invocation, RunFile
from harness.types import Json, Verdict

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,40}")
_CARD: Final[Mapping[str, Any]] = {  # a person's entry in results.json
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
class AddedJudge:
    """A judge to add to one split of a run.

    Attributes:
        plan: the split.
        judge: the judge's id.
        card: the judge's entry in results.json.
        primary: when it becomes the primary judge: always, only if the split has none, or never.
        min_coverage: share of records that must be resolved; None for the run's value.
        drawn: last place (`harness.keys.draw_order`) of the random part that it has judged; None if it has judged all.
    """

    plan: SplitPlan
    judge: str
    card: Mapping[str, Any]
    primary: Literal["always", "if there is none", "never"]
    min_coverage: float | None = None
    drawn: str | None = None


def add_judges(
    folder: RunFolder,
    added: Sequence[AddedJudge],
    *,
    command: Sequence[str],
    started: float,
    options: Mapping[str, Json] | None = None,
) -> ComputedResults:
    """Add judges and the invocation to run.json, and compute the results again.

    Args:
        folder: the run folder.
        added: the judges, whose verdicts are already written.
        command: this invocation's arguments.
        started: Unix time in seconds.
        options: what repeats this invocation (`harness.runs.option_record`); None for what cannot be repeated.

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
        options=options or {},
    )

    def enter(run: RunFile | None) -> RunFile:
        if run is None:
            raise HarnessError("run.json is gone", where=str(folder.path), remedy="restore the file")
        tasks = dict(run.tasks)
        for each in added:
            task = tasks[each.plan.display]
            split = task.splits[each.plan.name]
            is_primary = each.primary == "always" or (each.primary == "if there is none" and split.judge is None)
            drawn = {judge: last for judge, last in split.drawn.items() if judge != each.judge}
            drawn |= {} if each.drawn is None else {each.judge: each.drawn}
            changed = replace(
                split,
                judge=each.judge if is_primary else split.judge,
                min_coverage=split.min_coverage if each.min_coverage is None else each.min_coverage,
                drawn=drawn,
            )
            tasks[each.plan.display] = replace(task, splits={**task.splits, each.plan.name: changed})
        judges = {**run.judges, **{each.judge: dict(each.card) for each in added}}
        return replace(run, tasks=tasks, judges=judges, history=(*run.history, entry))

    with folder.hold_for_writing():
        folder.rewrite_run(enter)
        folder.log(f"{entry.started} done {shlex.join(command)}")
        return recompute_results(folder, plans, command=command)


def recompute_results(folder: RunFolder, plans: Sequence[SplitPlan], *, command: Sequence[str]) -> ComputedResults:
    """Compute the results again from what is stored.

    Args:
        folder: the run folder.
        plans: splits of the tasks to compute.
        command: this invocation's arguments.
    """
    with folder.hold_for_writing():
        run = StoredRun(folder=folder, file=folder.load_run())
        with folder.rewrite_json("results.json") as results:
            computed = compute_results(run, dict(results), plans=plans, command=command)
            results.clear()
            results.update(computed.results)
    return computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """An ensemble of one split's judges.

    Attributes:
        plan: the split.
        members: ids of the judges, sorted; axes come from the first, not from the primary judge.
        drawn: the smallest draw of its members, which all of them have judged; None if one has judged another part.
    """

    plan: SplitPlan
    members: tuple[str, ...]
    drawn: str | None

    @property
    def id(self) -> str:
        """Names its file in the run folder; the same members give the same id."""
        return f"{COMBINED}-{short({'version': VERSION, 'of': list(self.members)})}"

    @property
    def card(self) -> dict[str, Json]:
        """Its entry in results.json."""
        return build_card({"of": list(self.members)})


def combine_judges(folder: Path, judging: JudgeOptions) -> Run:
    """Add an ensemble to each split that two or more judges have judged, and compute the results again.

    Args:
        folder: the run folder.
        judging: the tasks, the members, and whether the ensemble becomes the primary judge; it names no judges.

    Raises:
        HarnessError: there is no run, or no split with verdicts of two judges; or a member is an ensemble or a person,
            or has judged nothing in a split that other members have judged.
        UnknownName: a member is not a judge of this run.
    """
    started = time.time()
    judging.check()
    place = RunFolder(folder)
    file, _, jobs = load_jobs(place, judging)
    run = StoredRun(folder=place, file=file)
    candidates = tuple(judge for judge, card in file.judges.items() if card["rubric"] not in (COMBINED, HUMAN))
    if judging.members:
        named = select_judge_ids("--members", judging.members, file.judges)
        if others := [judge for judge in named if judge not in candidates]:
            raise HarnessError(
                f"--members: {others[0]} is an ensemble or a person",
                remedy=f"judges that may be members: {', '.join(candidates)}",
            )
        if len(named) < 2:
            what = f"--members: an ensemble needs two judges, but only {', '.join(named)} is named"
            raise HarnessError(what, remedy="name another one")
        candidates = named
    found = (_build_ensemble(run, job.plan, candidates, named=bool(judging.members)) for job in jobs)
    ensembles = [each for each in found if each is not None]
    if not ensembles:
        remedy = f"harness judge {shlex.quote(str(folder))} --judge RUBRIC=SCHEME/NAME, with another judge"
        raise HarnessError("an ensemble needs the verdicts of two judges", where=str(folder), remedy=remedy)
    by_file: dict[tuple[str, str], list[Ensemble]] = {}  # opens each file once
    for each in ensembles:
        by_file.setdefault((each.plan.display, each.id), []).append(each)
    for (display, judge), group in by_file.items():
        decided = (
            (answer, decision)
            for each in group
            for answer, votes in _read_votes(run, each.plan, each.members)
            # while a missing vote could still make a majority, nothing is decided
            if isinstance(decision := find_majority(votes), Verdict) or None not in votes.values()
        )
        write_decisions(place, display, judge, decided)
    added = [
        AddedJudge(
            plan=each.plan,
            judge=each.id,
            card=each.card,
            primary="always" if judging.primary else "if there is none",
            min_coverage=judging.min_coverage,
            drawn=each.drawn,
        )
        for each in ensembles
    ]
    options = record_options(judging, "combine")
    computed = add_judges(place, added, command=judging.command, started=started, options=options)
    notes = (*computed.unread, *_list_incomplete(computed, ensembles))
    return Run(folder=folder, results=computed.results, exit_code=3 if notes else 0, notes=notes)


def _build_ensemble(run: StoredRun, plan: SplitPlan, candidates: Sequence[str], *, named: bool) -> Ensemble | None:
    """The ensemble of one split; None if fewer than two candidates have given a verdict.

    Raises HarnessError if the user named a candidate that may judge the split but has given no verdict.
    """
    able: set[str] = set()
    partly: set[str] = set()
    for _, votes in _read_votes(run, plan, candidates):
        able |= {judge for judge, vote in votes.items() if isinstance(vote, Verdict)}
        partly |= {judge for judge, vote in votes.items() if vote is None}
    silent = [
        judge for judge in candidates if judge not in able and run.file.judges[judge]["rubric"] in plan.split.judges
    ]
    if named and able and silent:
        raise HarnessError(
            f"--members: {silent[0]} has given no verdict on {plan.title}",
            where=str(run.folder.path),
            remedy="let it judge first, or name other splits by --tasks",
        )
    if len(able) < 2:
        return None
    draws, partly = run.split(plan.title).drawn, partly & able
    drawn = min((draws[judge] for judge in partly), default=None) if partly <= draws.keys() else None
    return Ensemble(plan=plan, members=tuple(sorted(able)), drawn=drawn)


def _read_votes(run: StoredRun, plan: SplitPlan, judges: Sequence[str]) -> Iterator[tuple[Answer, Votes]]:
    """Each answer of a split with the votes of these judges, in the split's words."""
    there = [judge for judge in run.folder.task(plan.display).judges() if judge in judges]
    rubrics = {judge: str(run.file.judges[judge]["rubric"]) for judge in there}
    words = {judge: plan.split.judges[rubric] for judge, rubric in rubrics.items() if rubric in plan.split.judges}
    for answer in run.answers(plan.title, tuple(words)):
        if answer.outcome == "answered":
            votes: dict[str, Decision | None] = dict.fromkeys(words)
            for judge, line in answer.verdicts.items():
                votes[judge] = read_vote(line, words[judge])
            yield answer, votes


def _list_incomplete(computed: ComputedResults, ensembles: Sequence[Ensemble]) -> Iterator[str]:
    """Why each split is incomplete under its ensemble."""
    for each in ensembles:
        title, fault = each.plan.title, computed.unscored.get(each.plan.display)
        if fault is not None:
            yield f"{title} could not be scored: its task raised {fault}"
            continue
        split: Mapping[str, Any] = computed.results["tasks"][each.plan.display]["splits"][each.plan.name]
        view = split if split["judge"] == each.id else split["other_judges"][each.id]
        if not view["complete"]:
            left = [f"{state} {count}" for state, count in view["verdicts"].items() if count and state != "scored"]
            listed = ", ".join((f"coverage {view['coverage']:.1%}", *left))
            yield f"{title} is incomplete: {listed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonLabel:
    """What a person says of one answer: one of the split's labels, or Unscored for an answer that they skipped."""

    answer: Answer
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredLabels:
    """The outcome of writing a person's labels.

    Attributes:
        new: answers labelled for the first time.
        changed: answers whose label changed.
        same: answers whose label was already stored.
        computed: the new results.
    """

    new: int
    changed: int
    same: int
    computed: ComputedResults


def person_id(name: str, run: RunFile) -> str:
    """A person's judge id. Raises HarnessError if the name is not allowed, or another judge's file has it."""
    if not _NAME.fullmatch(name):
        raise HarnessError(f"{name!r} cannot name a person", remedy="use letters, digits and . _ + - (at most 41)")
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
    """Write a person's labels, and compute the results again.

    Args:
        folder: the run folder.
        judge: the person's id, from `person_id`.
        labels: at most one for each answer.
        plans: the splits of these answers.
        command: this invocation's arguments.
        primary: make this judge the primary one.
    """
    started = time.time()
    counts: Changes = Counter()
    for display in dict.fromkeys(label.answer.display for label in labels):
        own = [(label.answer, label.decision) for label in labels if label.answer.display == display]
        counts.update(write_decisions(folder, display, judge, own))
    added = [AddedJudge(plan=plan, judge=judge, card=_CARD, primary="always" if primary else "never") for plan in plans]
    computed = add_judges(folder, added, command=command, started=started)
    return EnteredLabels(new=counts["new"], changed=counts["changed"], same=counts["same"], computed=computed)
