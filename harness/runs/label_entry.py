"""What a person said of a run's answers becomes verdicts, and each split's drawn answers are counted.

What must hold:

- A label counts only for the text it was given on, and only in its own run.
- The newest word on an answer counts, whether it came from the page or from a sheet.
- A skip, and a label that was withdrawn, is a verdict without a label, so that those who read the draw know that the
  answer was tried.
- Entering the same words again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from harness.contracts import Decision
from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.runs.additions import EnteredLabels, PersonLabel, enter_labels, person_id, recompute_results
from harness.runs.labelling import DrawnSplit, build_frame
from harness.runs.results import ComputedResults
from harness.runs.stored import HUMAN, StoredRun
from harness.stats.draw import FILE, order_cells
from harness.store.journal import stat_file
from harness.store.records import decision_of
from harness.store.run_file import RunFile
from harness.types import Unscored, Verdict

SKIPPED: Final = Unscored(state="judge_refused", message="skipped")  #: the decision of a person who skips an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A person's last word on one answer.

    Attributes:
        item: the answer's name in its run.
        decision: a label in the split's words, or `SKIPPED`.
        answer_hash: of the text that the person read; empty if unknown.
        at: when, ISO 8601; empty for now.
        withdrawn: the person took an earlier label back.
    """

    item: str
    decision: Decision
    answer_hash: str = ""
    at: str = ""
    withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredWords:
    """The outcome of entering a person's words.

    Attributes:
        labels: how many labels were given on answers of the run as they are now.
        outdated: items whose answer is another one now, or gone, so their labels do not count.
        foreign: items that the run does not have.
        unknown: (item, label) of labels that the split does not know.
        entered: what was written; None where nothing is new.
    """

    labels: int
    outdated: tuple[str, ...]
    foreign: tuple[str, ...]
    unknown: tuple[tuple[str, str], ...]
    entered: EnteredLabels | None


def find_person(name: str, run: RunFile) -> str:
    """A person's judge id: that of the run's person of this name in any case, else a new one.

    Raises HarnessError if the name is not allowed, or another judge's file has it.
    """
    wanted = f"{HUMAN}-{name}".casefold()
    there = (judge for judge, card in run.judges.items() if card["rubric"] == HUMAN and judge.casefold() == wanted)
    return next(there, "") or person_id(name, run)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedWords:
    """A person's words beside the answers of a run.

    Attributes:
        new: that no stored verdict says yet.
        plans: splits of what is new, and of what is not in the results yet.
        labels: as in `EnteredWords`.
        outdated: likewise.
        foreign: likewise.
        unknown: likewise.
    """

    new: tuple[PersonLabel, ...]
    plans: tuple[SplitPlan, ...]
    labels: int
    outdated: tuple[str, ...]
    foreign: tuple[str, ...]
    unknown: tuple[tuple[str, str], ...]


def match_words(run: StoredRun, judge: str, said: Iterable[Said], labels: Mapping[str, Sequence[str]]) -> MatchedWords:
    """Find what is new of a person's words; writes nothing. The arguments are those of `enter_words`."""
    words = {each.item: each for each in said}
    new: list[PersonLabel] = []
    plans: dict[str, SplitPlan] = {}
    outdated: list[str] = []
    unknown: list[tuple[str, str]] = []
    found: set[str] = set()
    count = 0
    results = run.folder.results
    for plan in run.plans if words else ():
        known = labels.get(plan.title)
        view: Mapping[str, Any] = results.get("tasks", {}).get(plan.display, {}).get("splits", {}).get(plan.name, {})
        shown = judge in run.file.judges and judge in (view.get("judge"), *view.get("other_judges", ()))
        for answer in run.answers(plan.title, (judge,)):
            each = words.get(answer.item)
            if each is None:
                continue
            found.add(answer.item)
            if answer.outcome != "answered" or each.answer_hash not in ("", answer.hash):
                outdated.append(answer.item)
                continue
            if isinstance(each.decision, Verdict):
                if known is not None and each.decision.label not in known:
                    unknown.append((answer.item, each.decision.label))
                    continue
                count += 1
            if _is_news(each, answer.verdicts.get(judge)):
                new.append(PersonLabel(answer=answer, decision=each.decision))
                plans[plan.title] = plan
            elif judge in answer.verdicts and not shown:  # the process was killed between verdicts and results
                plans[plan.title] = plan
    return MatchedWords(
        new=tuple(new),
        plans=tuple(plans.values()),
        labels=count,
        outdated=tuple(outdated),
        foreign=tuple(item for item in words if item not in found),
        unknown=tuple(unknown),
    )


def enter_words(
    run: StoredRun,
    judge: str,
    said: Iterable[Said],
    labels: Mapping[str, Sequence[str]],
    *,
    command: Sequence[str],
) -> EnteredWords:
    """Write what is new of a person's words, and compute the results again.

    Args:
        run: opened with the splits of these answers.
        judge: the person's id, from `find_person`.
        said: at most one on each answer.
        labels: `task:split` -> the labels that may be given; a split that is missing takes any.
        command: this invocation's arguments.
    """
    found = match_words(run, judge, said, labels)
    return EnteredWords(
        labels=found.labels,
        outdated=found.outdated,
        foreign=found.foreign,
        unknown=found.unknown,
        entered=enter_labels(run.folder, judge, found.new, found.plans, command=command) if found.plans else None,
    )


def _is_news(said: Said, line: Mapping[str, Any] | None) -> bool:
    """Whether a word is newer than the stored verdict, and says something else."""
    if line is None:
        return not said.withdrawn
    return decision_of(line) != said.decision and (not said.at or read_time(said.at) > read_time(str(line["at"])))


def read_time(text: str) -> datetime:
    """A time in ISO 8601; without a zone it is UTC. Raises HarnessError for another text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise HarnessError(f"{text!r} is not a time", remedy="write it as 2026-01-31T12:00:00+00:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def refresh_results(run: StoredRun, *, command: Sequence[str]) -> ComputedResults | None:
    """Compute the results again where a draw is newer than they are, since it decides which labels count.

    Args:
        run: opened with the splits that were drawn.
        command: this invocation's arguments.

    Returns:
        None where the results are newer.
    """
    made = stat_file(run.folder.path / "results.json")[2]
    drawn = [plan for plan in run.plans if stat_file(run.folder.task(plan.display).path / FILE)[2] > made]
    return recompute_results(run.folder, drawn, command=command) if drawn else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitProgress:
    """How far one person is with the drawn answers of a split.

    Attributes:
        title: `task:split`.
        drawn: answers.
        labelled: with a label of this person.
        skipped: that the person skipped or withdrew.
        waiting: labels of the person that do not count yet, since answers before them in the draw are open.
        missing: how many answers must be labelled or skipped, by anyone, until all of these count.
    """

    title: str
    drawn: int
    labelled: int
    skipped: int
    waiting: int = 0
    missing: int = 0

    @property
    def open(self) -> int:
        """Answers that the person has not seen to."""
        return self.drawn - self.labelled - self.skipped


def count_progress(run: StoredRun, drawn: Sequence[DrawnSplit], judge: str) -> list[SplitProgress]:
    """How far a person is with each split, by the verdicts that are stored."""
    counted: list[SplitProgress] = []
    for each in drawn:
        wanted = frozenset(each.items)
        cards = run.file.judges
        people = [
            one for one in run.folder.task(each.plan.display).judges() if cards.get(one, {}).get("rubric") == HUMAN
        ]
        labelled: set[str] = set()
        skipped = 0
        tried: set[str] = set()  # by anyone
        for answer in run.answers(each.plan.title, tuple(dict.fromkeys((judge, *people)))):
            if answer.item not in wanted:
                continue
            if answer.verdicts:
                tried.add(answer.item)
            if judge in answer.verdicts:
                if answer.verdicts[judge]["state"] == "scored":
                    labelled.add(answer.item)
                else:
                    skipped += 1
        # a label waits behind each answer of its cell that comes before it in the draw and that nobody has tried
        waiting = missing = 0
        for items in order_cells(build_frame(run, each.plan, each.draw.judge), each.draw.seed).values():
            started = next((place for place, item in enumerate(items) if item not in tried), len(items))
            behind = [place for place, item in enumerate(items) if place > started and item in labelled]
            waiting += len(behind)
            missing += sum(item not in tried for item in items[: max(behind, default=0)])
        counted.append(
            SplitProgress(
                title=each.plan.title,
                drawn=len(wanted),
                labelled=len(labelled),
                skipped=skipped,
                waiting=waiting,
                missing=missing,
            )
        )
    return counted
