"""Who said what: each record of a split with the label of each judge, in the words of the split's metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.contracts import Split
from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.labels import given_by_all, measure
from harness.metrics import Metric, Record
from harness.runs.results import COMBINED, describe_split_run
from harness.runs.stored import SplitSelection, select_judge_ids, select_splits
from harness.stats.summary import JudgedItem, label_record
from harness.store.folder import RunFolder
from harness.store.ledger import Ledger
from harness.store.run_file import RunFile
from harness.types import Unscored, Verdict

UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A stored run and those of its splits that are wanted.

    Attributes:
        folder: of the run.
        meant: what was named, of splits that are pooled from others too.
    """

    folder: RunFolder
    meant: SplitSelection

    @property
    def file(self) -> RunFile:
        """Its run.json."""
        return self.meant.file

    @property
    def plans(self) -> tuple[SplitPlan, ...]:
        """The splits that have to be read."""
        return self.meant.plans


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRecord:
    """One record.

    Attributes:
        record: without a label.
        seen: judge -> the record as it sees it; without a label where it has given none.
        states: judge -> why it has given none.
        reasons: judge -> what it said beside its label; kept only where labels differ.
    """

    record: Record
    seen: Mapping[str, Record]
    states: Mapping[str, str]
    reasons: Mapping[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """Judge -> its label."""
        return {judge: record.label for judge, record in self.seen.items() if record.label is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSplit:
    """One split.

    Attributes:
        display: its task, as results name it.
        name: of the split.
        split: how it is scored.
        epochs: answers for each sample.
        judges: that have seen an answer, the primary one first.
        sightings: in the order they were asked.
        gives: judge -> all labels that it can give, in the words of the split's metrics; one that is missing may give
            any.
    """

    display: str
    name: str
    split: Split
    epochs: int
    judges: tuple[str, ...]
    sightings: Sequence[JudgedRecord]
    gives: Mapping[str, frozenset[str]]

    def metrics(self, judge: str) -> tuple[Metric, ...]:
        """The split's metrics as one judge measures them."""
        return measure(self.split.metrics, self.gives.get(judge))

    @property
    def title(self) -> str:
        """Task and split, as `--tasks` takes them."""
        return f"{self.display}:{self.name}"


def open_run(folder: Path, tasks: Sequence[str]) -> StoredRun:
    """Read a run back. Raises HarnessError where there is none, UnknownName for a task it does not have."""
    place = RunFolder(folder)
    return StoredRun(folder=place, meant=select_splits(place, tasks))


def read_judged_splits(run: StoredRun, wanted: Sequence[str]) -> Iterator[JudgedSplit]:
    """Each split, and each derived one whose parts are all there.

    Args:
        run: to read.
        wanted: judges, by id or rubric; none for all but ensembles, which repeat their members.

    Raises:
        UnknownName: no judge of the run is called so.
    """
    known = run.file.judges
    everyone = tuple(judge for judge, card in known.items() if card["rubric"] != COMBINED)
    judges = select_judge_ids("--judges", wanted, known) if wanted else everyone
    for display, plans in _group_by_task(run.plans).items():
        found = {plan.name: _read(run, plan, judges) for plan in plans}
        yield from (each for each in found.values() if run.meant.holds(each.title))
        for name, split in plans[0].splits.items():
            parts = [found[part] for part in split.parts if part in found]
            if (
                parts
                and len(parts) == len(split.parts)
                and run.meant.holds(f"{display}:{name}", [part.title for part in parts])
            ):
                yield _pool(display, name, split, parts)
        run.folder.task(display).forget()


def _group_by_task(plans: Iterable[SplitPlan]) -> dict[str, list[SplitPlan]]:
    found: dict[str, list[SplitPlan]] = {}
    for plan in plans:
        found.setdefault(plan.display, []).append(plan)
    return found


def _read(run: StoredRun, plan: SplitPlan, judges: tuple[str, ...]) -> JudgedSplit:
    task = run.folder.task(plan.display)
    how = describe_split_run(run.file, plan, plan.name, [judge for judge in task.judges() if judge in judges])
    words = dict(how.judges)
    rows = list(Ledger(folder=task, judges=tuple(words)).rows(plan.name))
    active = sorted(
        (judge for judge in words if any(row.decision(judge) is not None for row in rows)),
        key=lambda judge: (judge != how.primary, judge),
    )
    return JudgedSplit(
        display=plan.display,
        name=plan.name,
        split=plan.split,
        epochs=how.epochs,
        judges=tuple(active),
        sightings=[_build_record(row, plan.split, {judge: words[judge] for judge in active}) for row in rows],
        gives=how.gives,
    )


def _build_record(row: JudgedItem, split: Split, words: Mapping[str, Mapping[str, str]]) -> JudgedRecord:
    said = {judge: row.decision(judge) for judge in words}
    records = {judge: label_record(row.record, said[judge], split, words[judge]) for judge in words}
    differ = row.record.outcome == "answered" and len({r.label for r in records.values()} - {None}) > 1
    return JudgedRecord(
        record=row.record,
        seen=records,
        states={
            judge: UNJUDGED if decision is None else decision.state
            for judge, decision in said.items()
            if decision is None or isinstance(decision, Unscored)
        },
        reasons={judge: each.reason for judge, each in said.items() if differ and isinstance(each, Verdict)},
    )


def _pool(display: str, name: str, split: Split, parts: Sequence[JudgedSplit]) -> JudgedSplit:
    judges = tuple(judge for judge in parts[0].judges if all(judge in part.judges for part in parts))
    return JudgedSplit(
        display=display,
        name=name,
        split=split,
        epochs=max(part.epochs for part in parts),
        judges=judges,
        sightings=[_select_judges(judges, sighting) for part in parts for sighting in part.sightings],
        gives=given_by_all([part.gives for part in parts]),
    )


def _select_judges(judges: Sequence[str], sighting: JudgedRecord) -> JudgedRecord:
    return replace(
        sighting,
        seen={judge: sighting.seen[judge] for judge in judges},
        states={judge: state for judge, state in sighting.states.items() if judge in judges},
    )


def check_two_judges(run: StoredRun, splits: Iterable[JudgedSplit]) -> None:
    """Raise HarnessError where no split has been seen by two judges."""
    if not any(len(split.judges) > 1 for split in splits):
        raise HarnessError(
            "agreement needs two judges, and no split of this run has been judged by two",
            where=str(run.folder.path),
            remedy="harness judge RUN --judge … adds a judge, harness agree RUN --import FILE.csv --as NAME a person",
        )
