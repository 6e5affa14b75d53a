"""Ensembles of judges: `harness judge --combine majority` adds one more judge, made of the verdicts of the others.

An answer is labelled where more than half of *all* members say the same: what the others say, or would have said had
they given a verdict, cannot change that. Nobody is asked and no data is read. Labels are compared in the words of the
metrics of a split, so that rubrics of different words can be put together.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions
from harness.evaluation.splits import SplitPlan
from harness.keys import short
from harness.runs.additions import AddedJudge, add_judges, write_decisions
from harness.runs.items import Answer, read_answers
from harness.runs.results import COMBINED, HUMAN, ComputedResults
from harness.runs.run import Run
from harness.runs.stored import load_jobs, select_judge_ids
from harness.store.folder import RunFolder
from harness.store.journal import Journal
from harness.store.records import decision_of
from harness.store.run_file import RunFile
from harness.store.together import Present
from harness.types import Json, Unscored, Verdict

VERSION: Final = "1"
Votes = Mapping[str, Decision | None]  #: judge -> what it said, in the split's labels; None where it has not judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The judges of one split, put together.

    Attributes:
        plan: the split.
        members: ids of the judges, in the order of their names: axes come from the first, whoever is the primary one.
    """

    plan: SplitPlan
    members: tuple[str, ...]

    @property
    def id(self) -> str:
        """Names its file in the run folder; the same members make the same judge."""
        return f"{COMBINED}-{short({'version': VERSION, 'of': list(self.members)})}"

    @property
    def card(self) -> dict[str, Json]:
        """What results.json says of it."""
        return {
            "rubric": COMBINED,
            "version": VERSION,
            "template_hash": "",
            "fidelity": "own",
            "model": None,
            "resolved": [],
            "settings": {"of": list(self.members)},
            "sees": ["verdicts"],
        }


def find_majority(votes: Votes) -> Decision:
    """What more than half of all judges say; else Unscored, with the reason of the first that gave no verdict.

    Axes and reason are those of the first judge that says so.
    """
    said = {judge: vote for judge, vote in votes.items() if isinstance(vote, Verdict)}
    counts = Counter(vote.label for vote in said.values())
    for label, count in counts.most_common(1):
        if 2 * count > len(votes):
            first = next(vote for vote in said.values() if vote.label == label)
            return Verdict(label=label, axes=first.axes, reason=f"{count} of {len(votes)}: {first.reason}".rstrip(": "))
    for judge, vote in votes.items():
        if isinstance(vote, Unscored):
            return Unscored(state=vote.state, message=f"{judge}: {vote.message}")
        if vote is None:
            return Unscored(state="judge_error", message=f"{judge} has not judged this answer")
    told = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    return Unscored(state="judge_unparsable", message=f"no majority: {told}")


def combine_judges(folder: Path, judging: JudgeOptions) -> Run:
    """Put the verdicts of a run's judges together, each split's for itself, and conclude the run anew.

    Args:
        folder: of the run.
        judging: which tasks, which members, and whether the ensemble is to be the primary judge; it names no judges.

    Raises:
        HarnessError: there is no run, or no split with verdicts of two judges; or a member is an ensemble or a person,
            or has judged nothing of a split that others of them have judged.
        UnknownName: a member is no judge of this run.
    """
    started = time.time()
    judging.check()
    run = RunFolder(folder)
    file, _, jobs = load_jobs(run, judging)
    voices = _select_members(file, judging.members)
    strict = bool(judging.members)
    made = [each for one in jobs if (each := _build_ensemble(run, file, one.plan, voices, strict)) is not None]
    if not made:
        remedy = f"harness judge {shlex.quote(str(folder))} --judge RUBRIC=SCHEME/NAME, with another judge"
        raise HarnessError("an ensemble needs the verdicts of two judges", where=str(folder), remedy=remedy)
    for (display, judge), group in _group_by_file(made).items():
        write_decisions(run, display, judge, (pair for each in group for pair in _decide(run, file, each)))
    added = [replace(_build_addition(each, judging), drawn=_find_draw(run, file, each)) for each in made]
    concluded = add_judges(run, added, command=judging.command, started=started)
    notes = tuple(_list_incomplete(concluded, made))
    return Run(folder=folder, results=concluded.results, exit_code=3 if notes else 0, notes=notes)


def _select_members(file: RunFile, wanted: Sequence[str]) -> tuple[str, ...]:
    """The judges that may be members."""
    able = tuple(judge for judge, card in file.judges.items() if card["rubric"] not in (COMBINED, HUMAN))
    if not wanted:
        return able
    named = select_judge_ids("--members", wanted, file.judges)
    others = [judge for judge in named if judge not in able]
    if others:
        raise HarnessError(
            f"--members: {others[0]} is an ensemble or a person",
            remedy=f"judges that may be members: {', '.join(able)}",
        )
    if len(named) < 2:
        raise HarnessError(
            f"--members: an ensemble needs two judges, and {', '.join(named)} is the only one that is named"
        )
    return named


def _build_ensemble(
    run: RunFolder, file: RunFile, plan: SplitPlan, voices: Sequence[str], strict: bool
) -> Ensemble | None:
    """That of one split; None where fewer than two of its judges have given any verdict.

    Raises HarnessError where it is strict and one that may judge the split has given none.
    """
    heard = _read_votes(run, file, plan, voices)
    able = {judge for _, votes in heard for judge, vote in votes.items() if isinstance(vote, Verdict)}
    silent = [judge for judge in voices if judge not in able and file.judges[judge]["rubric"] in plan.split.judges]
    if strict and able and silent:
        raise HarnessError(
            f"--members: {silent[0]} has given no verdict on {plan.title}",
            where=str(run.path),
            remedy="let it judge first, or name other splits by --tasks",
        )
    return Ensemble(plan=plan, members=tuple(sorted(able))) if len(able) > 1 else None


def _group_by_file(made: Iterable[Ensemble]) -> Mapping[tuple[str, str], list[Ensemble]]:
    """Those whose verdicts stand in one file, so that it is opened once."""
    found: dict[tuple[str, str], list[Ensemble]] = {}
    for each in made:
        found.setdefault((each.plan.display, each.id), []).append(each)
    return found


def _decide(run: RunFolder, file: RunFile, made: Ensemble) -> Iterator[tuple[Answer, Decision]]:
    """What the ensemble says of each answer; nothing of one that waits for a member, as of one that nobody judged."""
    for answer, votes in _read_votes(run, file, made.plan, made.members):
        decision = find_majority(votes)
        if isinstance(decision, Verdict) or None not in votes.values():
            yield answer, decision


def _find_draw(run: RunFolder, file: RunFile, made: Ensemble) -> str | None:
    """The least draw of its members, which is what all of them have judged; None where one has read another part."""
    drawn = file.tasks[made.plan.display].splits[made.plan.name].drawn
    heard = _read_votes(run, file, made.plan, made.members)
    partly = {judge for _, votes in heard for judge, vote in votes.items() if vote is None}
    return min((drawn[judge] for judge in partly), default=None) if partly <= drawn.keys() else None


def _read_votes(
    run: RunFolder, file: RunFile, plan: SplitPlan, voices: Sequence[str]
) -> Iterator[tuple[Answer, Votes]]:
    """Each answer of a split with what each of some judges said of it, in the split's words."""
    folder = run.task(plan.display)
    rubrics = {judge: str(file.judges[judge]["rubric"]) for judge in folder.judges() if judge in voices}
    words = {judge: plan.split.judges[rubric] for judge, rubric in rubrics.items() if rubric in plan.split.judges}
    with ExitStack() as stack:
        journals = {judge: folder.verdicts(judge, write=False) for judge in words}
        for journal in journals.values():
            stack.callback(journal.close)
        responses = folder.responses(write=False)
        stack.callback(responses.close)
        present = Present(lambda: folder.asked(plan.name), responses)
        for answer in read_answers(run, plan.display, plan.name):
            if answer.outcome != "answered":
                continue
            yield answer, {judge: _read_vote(journals[judge], answer, words[judge], present) for judge in journals}


def _read_vote(journal: Journal, answer: Answer, words: Mapping[str, str], present: Present) -> Decision | None:
    """What a judge says of an answer; None where it says nothing that counts."""
    found = journal.find(*answer.place)
    line = None if found is None else journal.read(found[0])
    return _translate(decision_of(line), words) if line is not None and present.counts(line) else None


def _translate(decision: Decision, words: Mapping[str, str]) -> Decision:
    if isinstance(decision, Verdict):
        return replace(decision, label=words.get(decision.label, decision.label))
    return decision


def _build_addition(made: Ensemble, judging: JudgeOptions) -> AddedJudge:
    stands: Literal["first", "first of none"] = "first" if judging.primary else "first of none"
    return AddedJudge(plan=made.plan, judge=made.id, card=made.card, stands=stands, min_coverage=judging.min_coverage)


def _list_incomplete(concluded: ComputedResults, made: Sequence[Ensemble]) -> Iterator[str]:
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
