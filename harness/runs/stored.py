"""Reads a run folder: its splits, answers, items, and the records of each split under each judge.

    run = open_run(Path("runs/mini-base"))
    for title in run.splits:
        for item in run.items(title):
            print(item.item, item.outcome, item.label)

Results, comparisons, agreement, ensembles and viewers read a run through `StoredRun`; `harness.runs.following` does the
same for a run that is still going. Each split is read in one pass over its journals, answer by answer.

No data set is opened: an image is a path under its task's data root, and a hash. Items can be read without the task's
plugin; their labels are then those of its rubrics. Plans and judged records need the plugin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness.contracts import Split
from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.labels import HUMAN as HUMAN
from harness.labels import intersect_labels, map_rubrics, measure, translate_labels
from harness.metrics import Metric, Record
from harness.runs.items import Item, LabelMap, build_item
from harness.runs.selection import SplitSelection, load_split_plan, select_judge_ids, select_splits
from harness.stats.draw import UNSCORED, FrameAnswer, SplitDraw
from harness.stats.summary import JudgedItem, SplitRun, label_record
from harness.store.folder import RunFolder
from harness.store.reader import Answer, read_answers
from harness.store.records import decision_of, record_of
from harness.store.run_file import RunFile, SplitEntry
from harness.types import Json, Unscored, Verdict

COMBINED: Final = "combine-majority"  #: the rubric of an ensemble
UNJUDGED: Final = "unjudged"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRecord:
    """One record under each of its judges.

    Attributes:
        record: the record without a label.
        seen: judge -> the record with its label; unlabelled if it gave none.
        states: judge -> why it gave no label.
        reasons: judge -> its reason; kept only if labels differ.
        framed: an answer as the recorded draw of its split has it; None for no answer, or without a draw.
    """

    record: Record
    seen: Mapping[str, Record]
    states: Mapping[str, str]
    reasons: Mapping[str, str]
    framed: FrameAnswer | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Judge -> its label."""
        return {judge: record.label for judge, record in self.seen.items() if record.label is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSplit:
    """The records of one split.

    Attributes:
        display: the task's name in the results.
        name: the split's name.
        split: how the split is scored.
        epochs: answers for each sample.
        judges: the judges that have seen an answer, the primary one first.
        records: its records, in the order of asking.
        gives: judge -> all labels that it can give, in the words of the split's metrics; a missing judge may give any.
        people: those of the judges who are people.
        draws: split -> its recorded draw of answers for people, of each part that has one.
    """

    display: str
    name: str
    split: Split
    epochs: int
    judges: tuple[str, ...]
    records: Sequence[JudgedRecord]
    gives: Mapping[str, frozenset[str]]
    people: tuple[str, ...] = ()
    draws: Mapping[str, SplitDraw] = field(default_factory=dict[str, SplitDraw])

    def keep_judges(self, judges: Sequence[str]) -> JudgedSplit:
        """The split under some of its judges alone."""
        return replace(
            self,
            judges=tuple(judges),
            records=[_keep_judges(record, judges) for record in self.records],
            people=tuple(judge for judge in self.people if judge in judges),
        )

    def metrics(self, judge: str) -> tuple[Metric, ...]:
        """The split's metrics under one judge."""
        return measure(self.split.metrics, self.gives.get(judge))

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.display}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run folder, for reading.

    Attributes:
        folder: the run folder.
        file: its run.json.
        selection: the named splits, with their plans; empty if none was named.
    """

    folder: RunFolder
    file: RunFile
    selection: SplitSelection = SplitSelection()

    @property
    def splits(self) -> tuple[str, ...]:
        """The asked splits, as `task:split`."""
        return tuple(f"{display}:{name}" for display, task in self.file.tasks.items() for name in task.splits)

    @property
    def plans(self) -> tuple[SplitPlan, ...]:
        """The plans of the named splits, and of the parts of pooled ones."""
        return self.selection.plans

    def split(self, title: str) -> SplitEntry:
        """The entry of a split in run.json."""
        display, _, name = title.rpartition(":")
        return self.file.tasks[display].splits[name]

    def answers(self, title: str, judges: Sequence[str] = ()) -> Iterator[Answer]:
        """Each asked item of a split, in order, with the verdicts of these judges."""
        display, _, name = title.rpartition(":")
        return read_answers(self.folder.task(display), name, judges)

    def task_answers(self, display: str, judges: Sequence[str]) -> Iterator[Answer]:
        """Each asked item of a task, split by split, with the verdicts of these judges."""
        for name in self.file.tasks[display].splits:
            yield from self.answers(f"{display}:{name}", judges)

    def judges_of(self, display: str) -> tuple[str, ...]:
        """Ids of all judges with a file of a task's verdicts."""
        return self.folder.task(display).judges()

    def repeats_of(self, display: str, judge: str) -> tuple[str, ...]:
        """Ids of a judge's repeats with a file of a task's verdicts."""
        return self.folder.task(display).repeats(judge)

    def items(self, title: str) -> Iterator[Item]:
        """Each asked item of a split, in order."""
        words = self.words(title)
        return (build_item(answer, words) for answer in self.answers(title, tuple(words.judges)))

    def item(self, name: str) -> Item:
        """The item with this name. Raises HarnessError if the run has none."""
        for title in self.splits:
            found = next((each for each in self.items(title) if each.item == name), None)
            if found is not None:
                return found
        raise HarnessError(f"the run has no item {name!r}", where=str(self.folder.path))

    def words(self, title: str) -> LabelMap:
        """How to read the labels of a split."""
        display, _, name = title.rpartition(":")
        primary = self.split(title).judge
        there = [judge for judge in self.folder.task(display).judges() if judge in self.file.judges]
        ordered = sorted(there, key=lambda judge: (judge != primary, judge))
        try:
            plan = load_split_plan(self.folder, self.file, title)
        except HarnessError:  # no plugin, or another version: its words are unknown, but the lines are readable
            return LabelMap(primary=primary, judges={judge: {} for judge in ordered}, split=None)
        how = describe_split_run(self.file, plan, name, ordered)
        return LabelMap(primary=primary, judges=dict(how.judges), split=plan.split)

    def root(self, title: str) -> Path | None:
        """The folder to which a split's image paths are relative; None if the images came with a missing plugin.

        A redacted export has none either: its paths were removed.
        """
        if self.file.redacted:
            return None
        if not self.split(title).packaged:
            return Path(self.file.tasks[title.rpartition(":")[0]].data.root)
        split = self.words(title).split
        return None if split is None else split.data

    def records(self, plan: SplitPlan, judges: Sequence[str], draw: SplitDraw | None = None) -> Iterator[JudgedRecord]:
        """Each record of a split, in order, under these judges; leaves out judges that cannot score it.

        Args:
            plan: of the split.
            judges: their ids.
            draw: the recorded draw, which frames each answer by its own judge's label.
        """
        framing = [draw.judge] if draw is not None and draw.judge in self.file.judges else []
        every = describe_split_run(self.file, plan, plan.name, list(dict.fromkeys((*judges, *framing)))).judges
        words = {judge: translation for judge, translation in every.items() if judge in judges}
        for answer in self.answers(plan.title, tuple(every)):
            judged = build_judged_item(answer)
            said = {judge: judged.decision(judge) for judge in words}
            unread = label_record(judged.record, None, plan.split, {})  # the same for all who have not judged it
            seen = {
                judge: unread if decision is None else label_record(judged.record, decision, plan.split, words[judge])
                for judge, decision in said.items()
            }
            framed = None
            if draw is not None and answer.outcome == "answered":
                framing_record = seen.get(draw.judge) or label_record(
                    judged.record, judged.decision(draw.judge), plan.split, every.get(draw.judge, {})
                )
                cell = framing_record.label or UNSCORED
                framed = FrameAnswer(item=answer.item, cell=cell, answer_hash=answer.hash)
            differ = answer.outcome == "answered" and len({each.label for each in seen.values()} - {None}) > 1
            yield JudgedRecord(
                record=judged.record,
                seen=seen,
                states={
                    judge: UNJUDGED if decision is None else decision.state
                    for judge, decision in said.items()
                    if decision is None or isinstance(decision, Unscored)
                },
                reasons={judge: each.reason for judge, each in said.items() if differ and isinstance(each, Verdict)},
                framed=framed,
            )

    def load_splits(self, wanted: Sequence[str] = (), *, draws: bool = False) -> Iterator[JudgedSplit]:
        """Load each named split, and each pooled one whose parts are all present.

        Args:
            wanted: judges, by id or rubric; none for all but ensembles, which repeat their members.
            draws: load the recorded draws of answers for people too.

        Raises:
            UnknownName: no judge of the run has this name.
            HarnessError: a recorded draw is broken.
        """
        known = self.file.judges
        everyone = tuple(judge for judge, card in known.items() if card["rubric"] != COMBINED)
        judges = select_judge_ids("--judges", wanted, known) if wanted else everyone
        tasks: dict[str, list[SplitPlan]] = {}
        for plan in self.plans:
            tasks.setdefault(plan.display, []).append(plan)
        for display, plans in tasks.items():
            drawn = self.folder.task(display).load_draws() if draws else {}
            found = {plan.name: self._load_split(plan, judges, drawn.get(plan.name)) for plan in plans}
            yield from (each for each in found.values() if self.selection.holds(each.title))
            for name, split in plans[0].splits.items():
                parts = [found[part] for part in split.parts if part in found]
                if not parts or len(parts) < len(split.parts):
                    continue
                if self.selection.holds(f"{display}:{name}", [part.title for part in parts]):
                    shared = tuple(j for j in parts[0].judges if all(j in part.judges for part in parts))
                    yield JudgedSplit(
                        display=display,
                        name=name,
                        split=split,
                        epochs=max(part.epochs for part in parts),
                        judges=shared,
                        records=[_keep_judges(record, shared) for part in parts for record in part.records],
                        gives=intersect_labels([part.gives for part in parts]),
                        people=tuple(judge for judge in parts[0].people if judge in shared),
                        draws={name: draw for part in parts for name, draw in part.draws.items()},
                    )
            self.folder.task(display).forget_indexes()

    def _load_split(self, plan: SplitPlan, judges: Sequence[str], draw: SplitDraw | None) -> JudgedSplit:
        primary = self.split(plan.title).judge
        there = [judge for judge in self.folder.task(plan.display).judges() if judge in judges]
        how = describe_split_run(self.file, plan, plan.name, sorted(there, key=lambda each: (each != primary, each)))
        records = list(self.records(plan, tuple(how.judges), draw))
        active = tuple(judge for judge in how.judges if any(each.states.get(judge) != UNJUDGED for each in records))
        if len(active) < len(how.judges):
            records = [_keep_judges(record, active) for record in records]
        return JudgedSplit(
            display=plan.display,
            name=plan.name,
            split=plan.split,
            epochs=how.epochs,
            judges=active,
            records=records,
            gives=how.gives,
            people=tuple(judge for judge in active if self.file.judges[judge]["rubric"] == HUMAN),
            draws={} if draw is None else {plan.name: draw},
        )


def _keep_judges(record: JudgedRecord, judges: Sequence[str]) -> JudgedRecord:
    """The record under these judges only, in their order."""
    return replace(
        record,
        seen={judge: record.seen[judge] for judge in judges},
        states={judge: record.states[judge] for judge in judges if judge in record.states},
    )


def open_run(folder: Path, tasks: Sequence[str] | None = None) -> StoredRun:
    """Open a run for reading.

    Args:
        folder: the run folder.
        tasks: the splits to plan, as written for `--tasks`; empty for all. None plans nothing and needs no plugin.

    Raises:
        HarnessError: there is no run.
        UnknownName: the run has no such task.
    """
    place = RunFolder(folder)
    selection = SplitSelection() if tasks is None else select_splits(place, tasks)
    return StoredRun(folder=place, file=place.load_run(), selection=selection)


def build_judged_item(answer: Answer, *, hashed: bool = False) -> JudgedItem:
    """Turn an answer into a record with the decisions of the judges whose verdicts were read.

    Args:
        answer: with its verdicts.
        hashed: whether the hash of its text is needed.
    """
    return JudgedItem(
        record=record_of(answer.display, answer.asked, answer.response),
        verdicts={judge: decision_of(line) for judge, line in answer.verdicts.items()},
        flags={judge: frozenset(line["flags"]) for judge, line in answer.verdicts.items() if line.get("flags")},
        answer_hash=answer.hash if hashed else "",
    )


def describe_split_run(run: RunFile, plan: SplitPlan, name: str, judges: Sequence[str]) -> SplitRun:
    """How one split of a plan's task was run, with the words of each of these judges that can score it."""
    entry = run.tasks[plan.display].splits[name]
    split = map_rubrics(plan.splits[name], entry.maps)
    # labels of the first two are the split's own words
    known: dict[str, Mapping[str, str]] = {COMBINED: {}, HUMAN: {}, **split.judges}
    rubrics = {judge: str(run.judges[judge]["rubric"]) for judge in judges}
    words = {judge: known[rubric] for judge, rubric in rubrics.items() if rubric in known}
    given = {judge: _find_given_labels(run, entry, split, judge) for judge in words}
    # the vote of one judge's repeats (`harness.runs.votes`) measures what that judge does
    members = {judge: run.judges[judge]["settings"]["of"] for judge, each in rubrics.items() if each == COMBINED}
    mapped = rubrics | {judge: str(run.judges[of[0]]["rubric"]) for judge, of in members.items() if len(of) == 1}
    limit: dict[str, Json] = {"limit": entry.limit} if entry.limit else {}
    shard: dict[str, Json] = {} if run.part is None else {"shard": f"{run.part[0]}/{run.part[1]}"}
    return SplitRun(
        split=split,
        judges=words,
        gives={judge: labels for judge, labels in given.items() if labels is not None},
        primary=entry.judge,
        settings=entry.generation,
        subset={**limit, **shard} or None,
        epochs=entry.epochs,
        min_coverage=entry.min_coverage,
        drawn=entry.drawn,
        people=tuple(judge for judge in words if rubrics[judge] == HUMAN),
        maps={judge: entry.maps[rubric] for judge, rubric in mapped.items() if rubric in entry.maps},
    )


def _find_given_labels(run: RunFile, entry: SplitEntry, split: Split, judge: str) -> frozenset[str] | None:
    """All labels that a judge can give, in the split's words; None if unknown, as for a person.

    An ensemble can give what more than half of its members can. For a judge from an older version only the rubric is
    known.
    """
    card = run.judges.get(judge, {})
    if card.get("rubric") == COMBINED:
        members = [_find_given_labels(run, entry, split, str(member)) for member in card["settings"]["of"]]
        every = {label for labels in members for label in labels or ()}
        if 2 * members.count(None) > len(members):
            return None
        return frozenset(each for each in every if 2 * sum(m is None or each in m for m in members) > len(members))
    if "labels" not in card:
        return None
    given = translate_labels(card["labels"], split.judges.get(str(card["rubric"]), {}))
    return given | frozenset(entry.outcome_labels)


def check_two_judges(runs: Sequence[StoredRun], judges: Sequence[Sequence[str]]) -> None:
    """Raise HarnessError if no split has two judges.

    Args:
        runs: that were read.
        judges: of each split.
    """
    if not any(len(each) > 1 for each in judges):
        raise HarnessError(
            f"agreement needs two judges, and no split of {'this run' if len(runs) == 1 else 'these runs'} has been "
            "judged by two",
            where=", ".join(str(run.folder.path) for run in runs),
            remedy="harness judge RUN --judge … adds a judge, harness agree RUN --import FILE.csv --as NAME a person",
        )
