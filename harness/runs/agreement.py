"""How far the judges of a split agree, people included, in one run or over several.

    found = measure_runs([open_run(folder, ()) for folder in folders])

Several runs are pooled split by split. A judge is the same in two runs if its id is: other settings or another version
make another id. A judge that only one run has is compared over the answers of that run. The same sample of two runs is
one cluster, since both answers may be wrong for one reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from harness.errors import HarnessError, UnknownName
from harness.labels import OWN
from harness.metrics import Metric, Record
from harness.runs.labelling import map_labels
from harness.runs.people import PeopleAgreement, measure_people
from harness.runs.results import Guard, ScoringError
from harness.runs.run import Run
from harness.runs.selection import select_judge_ids
from harness.runs.state import check_run_folder
from harness.runs.stored import UNJUDGED, JudgedRecord, JudgedSplit, StoredRun, check_two_judges, open_run
from harness.stats.agreement import MISSING, Agreement, cohen, confusion, fleiss, krippendorff, percent
from harness.stats.columns import cluster_name, fingerprint
from harness.stats.summary import DRAWN_BY_LABEL
from harness.stats.tally import Tally, main_metric
from harness.types import Json

if TYPE_CHECKING:
    import pandas as pd

_Run = TypeVar("_Run")


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitInRun:
    """A split of one run.

    Attributes:
        run: the run folder, as the user named it.
        model: the run's model.
        seen: the judged split.
        estimates: person -> the main metric by that person's labels alone, as results.json has it.
        left_out: judges whose labels are their own, in none of the split's words, so that they agree with nobody.
    """

    run: str
    model: str
    seen: JudgedSplit
    estimates: Mapping[str, Mapping[str, Json]]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgePair:
    """Two judges on the answers both scored; the rows of `table` are the left judge's labels."""

    left: str
    right: str
    table: tuple[tuple[int, ...], ...]
    same: Agreement
    kappa: Agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricByJudge:
    """The split's main metric under each judge.

    Attributes:
        name: of the metric.
        unit: "%" or "0-1".
        better: which direction is good.
        whole: judge -> the metric as in results.json.
        coverage: judge -> share of resolved records.
        common: judge -> value over the answers that all judges scored.
    """

    name: str
    unit: str
    better: str
    whole: Mapping[str, Mapping[str, Any]]
    coverage: Mapping[str, float]
    common: Mapping[str, float | None]

    @property
    def ends(self) -> tuple[float, float] | None:
        """The lowest and highest value over the common answers; None if fewer than two are known."""
        known = [value for value in self.common.values() if value is not None]
        return (min(known), max(known)) if len(known) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An answer that two judges labelled differently, and the run folder."""

    run: str
    record: JudgedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAgreement:
    """The agreement on one split.

    Attributes:
        title: `task:split`.
        parts: the split in each run that has it.
        judges: in the order of the first run.
        records: how many there are.
        answered: records with an answer; only these are judged.
        labels: rows and columns of the tables.
        states: judge -> state -> count of answers.
        pairs: all pairs of judges.
        fleiss: Fleiss' kappa over the answers that all judges scored.
        alpha: Krippendorff's alpha over the answers that two or more judges scored.
        common: count of answers that all judges scored.
        metric: the main metric; None if it could not be computed.
        fault: why not.
        people: the judges against people; None if nobody labelled an answer.
        differing: answers that two judges labelled differently.
        alone: of each run by itself, where there are several.
    """

    title: str
    parts: tuple[SplitInRun, ...]
    judges: tuple[str, ...]
    records: int
    answered: int
    labels: tuple[str, ...]
    states: Mapping[str, Mapping[str, int]]
    pairs: tuple[JudgePair, ...]
    fleiss: Agreement
    alpha: Agreement
    common: int
    metric: MetricByJudge | None
    fault: str
    people: PeopleAgreement | None
    differing: tuple[Disagreement, ...]
    alone: tuple[SplitAgreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAgreement:
    """How far the judges of some runs agree, people included: what `harness.agree` gives.

    Attributes:
        runs: run folder -> its model.
        splits: each split, pooled over the runs that have it.
    """

    runs: Mapping[str, str]
    splits: tuple[SplitAgreement, ...]

    def as_json(self, show: int | None = None) -> dict[str, Json]:
        """`harness.agreement/1`, as `harness agree --json` prints it, without texts.

        Args:
            show: most differing answers to list of each split; None for all.
        """
        from harness.runs.agreement_json import agreement_as_json

        return agreement_as_json(self.runs, self.splits, None, show)

    def to_frame(self) -> pd.DataFrame:
        """One row for each split and pair of judges.

        Columns: task, split, left, right, n (answers that both scored), same (percent with equal labels), same_low,
        same_high, kappa (Cohen's, -1 to 1), kappa_low, kappa_high, why (why there is no kappa).
        """
        import pandas as pd

        names = ("task", "split", "left", "right", "n", "same", "same_low", "same_high", "kappa", "kappa_low")
        rows: list[tuple[object, ...]] = []
        for each in self.splits:
            task, _, split = each.title.rpartition(":")
            for pair in each.pairs:
                same, kappa = pair.same, pair.kappa
                shares = [None if end is None else 100 * end for end in (same.value, *(same.ci95 or (None, None)))]
                why = "" if kappa.why is None else kappa.why.value
                ends = kappa.ci95 or (None, None)
                rows.append((task, split, pair.left, pair.right, same.n, *shares, kappa.value, *ends, why))
        frame = pd.DataFrame(rows, columns=[*names, "kappa_high", "why"])
        numbers = ["same", "same_low", "same_high", "kappa", "kappa_low", "kappa_high"]
        frame[numbers] = frame[numbers].astype("float64")
        return frame


def agree(
    run: Run | Path | str,
    *more: Run | Path | str,
    tasks: str | Sequence[str] = (),
    judges: str | Sequence[str] = (),
) -> JudgeAgreement:
    """Measure how far the judges of runs agree, people included. Asks no model and judges nothing.

    Args:
        run: a run, or its folder.
        more: further runs; all are pooled split by split.
        tasks: only these, one or several; none for all.
        judges: only these, by id or rubric; none for all but ensembles.

    Raises:
        HarnessError: there is no run, or no split that two judges have judged.
        UnknownName: no run has such a task or judge.
    """
    folders = [each.folder if isinstance(each, Run) else Path(each) for each in (run, *more)]
    for folder in folders:
        check_run_folder(folder)
    opened = open_runs(folders, (tasks,) if isinstance(tasks, str) else tasks)
    found = measure_runs(opened, (judges,) if isinstance(judges, str) else judges)
    check_two_judges(opened, [each.judges for each in found])
    return JudgeAgreement(runs={str(each.folder.path): each.file.model.ref for each in opened}, splits=tuple(found))


def open_runs(folders: Sequence[Path], tasks: Sequence[str] = ()) -> list[StoredRun]:
    """Open some runs, each with the splits that it has of the named ones; a run that has none is left out.

    Args:
        folders: the run folders.
        tasks: as written for `--tasks`; none for all.

    Raises:
        HarnessError: there is no run, or one is named twice.
        UnknownName: no run has such a task.
    """
    places = [folder.resolve() for folder in folders]
    twice = [folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]
    if twice:
        raise HarnessError("the same run is named twice", where=str(twice[-1]), remedy="name each run once")
    if len(folders) == 1 or not tasks:
        return [open_run(folder, tasks) for folder in folders]
    own = _share_names(tasks, folders, lambda folder, name: open_run(folder, (name,)))
    return [open_run(folder, names) for folder, names in zip(folders, own, strict=True) if names]


def _share_names(names: Sequence[str], runs: Sequence[_Run], find: Callable[[_Run, str], object]) -> list[list[str]]:
    """The names that each run knows. Raises UnknownName for one that none of them knows.

    Args:
        names: as the user wrote them.
        runs: the runs, or their folders.
        find: looks a name up in a run, and raises UnknownName if it is not there.
    """
    own: list[list[str]] = [[] for _ in runs]
    for name in names:
        unknown: list[UnknownName] = []
        for run, known in zip(runs, own, strict=True):
            try:
                find(run, name)
                known.append(name)
            except UnknownName as error:
                unknown.append(error)
        if len(unknown) == len(runs):
            raise unknown[0]
    return own


def measure_runs(runs: Sequence[StoredRun], judges: Sequence[str] = ()) -> list[SplitAgreement]:
    """Measure each split of some runs, pooled over the runs that have it.

    Args:
        runs: opened with the splits to measure.
        judges: by id or rubric; none for all but ensembles, and rubrics whose labels are their own.

    Raises:
        UnknownName: no run has such a judge.
        HarnessError: a recorded draw is broken.
    """
    titles: dict[str, list[SplitInRun]] = {}
    shared = _share_names(judges, runs, lambda run, name: select_judge_ids("--judges", (name,), run.file.judges))
    for run, own in zip(runs, shared, strict=True):
        if own or not judges:
            for part in load_parts(run, own):
                titles.setdefault(part.seen.title, []).append(part)
    return [measure_split(*parts) for parts in titles.values()]


def load_parts(run: StoredRun, judges: Sequence[str] = ()) -> Iterable[SplitInRun]:
    """Each named split of a run, with what its results say of its annotators. Raises as `measure_runs`.

    Unless it is named, a judge that gives only its own labels (`RUBRIC:LABEL`, a rubric without a map) is left out.
    """
    results: Mapping[str, Any] = {}
    with suppress(HarnessError):  # they add one line; the journals are what counts
        results = run.folder.results
    for every in run.load_splits(judges, draws=True):
        own: tuple[str, ...] = ()
        if not judges:
            words = {judge: every.gives.get(judge) or () for judge in every.judges}
            own = tuple(judge for judge, given in words.items() if given and all(OWN in label for label in given))
        seen = every.keep_judges([judge for judge in every.judges if judge not in own]) if own else every
        yield SplitInRun(
            run=str(run.folder.path),
            model=run.file.model.ref,
            seen=seen,
            estimates=_find_estimates(results, seen) if seen.people else {},
            left_out=own,
        )


def _find_estimates(results: Mapping[str, Any], seen: JudgedSplit) -> dict[str, Mapping[str, Json]]:
    """Person -> the corrected main metric by that person's labels alone; empty if the results have none."""
    name = main_metric(seen.split.metrics).name
    try:
        view: Mapping[str, Any] = results["tasks"][seen.display]["splits"][seen.name]
        views: list[Mapping[str, Any]] = [view, *view["other_judges"].values()]
        for judged in views:  # the same in the view of each machine judge
            corrected: Mapping[str, Any] | None = judged["metrics"].get(name, {}).get("corrected")
            if corrected:
                only = {seen.people[0]: corrected} if len(seen.people) == 1 else {}
                own: Mapping[str, Mapping[str, Json]] = corrected.get("annotators") or only
                return {who: dict(each) for who, each in own.items() if who in seen.people}
    except (KeyError, TypeError, ValueError, AttributeError):  # an edited file, or the results of an older version
        pass
    return {}


def measure_split(*parts: SplitInRun) -> SplitAgreement:
    """Measure one split, pooled over these runs."""
    judges = tuple(dict.fromkeys(judge for part in parts for judge in part.seen.judges))
    answered = [
        (number, each)
        for number, part in enumerate(parts)
        for each in part.seen.records
        if each.record.outcome == "answered"
    ]
    said = [
        None if (record := each.seen.get(judge)) is None else record.label for _, each in answered for judge in judges
    ]
    given = {label for label in said if label is not None}
    labels = tuple(dict.fromkeys((*map_labels(parts[0].seen.split).labels, *sorted(given))))
    number: dict[str | None, int] = {label: code for code, label in enumerate(labels)}
    number[None] = MISSING
    ratings = np.array([number[label] for label in said], dtype=np.int64).reshape(len(answered), len(judges))
    cluster = np.array([fingerprint(cluster_name(each.record)) for _, each in answered], dtype=np.int64)

    states: dict[str, dict[str, int]] = {}
    for judge in judges:
        counts = Counter(each.states.get(judge, "scored") if judge in each.seen else UNJUDGED for _, each in answered)
        states[judge] = {"scored": counts.pop("scored", 0), **{state: counts[state] for state in sorted(counts)}}
    pairs: list[JudgePair] = []
    for (at, left), (other, right) in combinations(enumerate(judges), 2):
        one, two = ratings[:, at], ratings[:, other]
        pairs.append(
            JudgePair(
                left=left,
                right=right,
                table=tuple(tuple(row) for row in confusion(one, two, len(labels)).tolist()),
                same=percent(one, two, cluster),
                kappa=cohen(one, two, cluster, len(labels)),
            )
        )
    complete = (ratings != MISSING).all(axis=1)
    metric, fault = _measure_metric(
        parts, judges, [each for each, all_scored in zip(answered, complete, strict=True) if all_scored]
    )
    least = np.where(ratings == MISSING, len(labels), ratings).min(axis=1, initial=len(labels))
    differs = ratings.max(axis=1, initial=MISSING) > least
    return SplitAgreement(
        title=parts[0].seen.title,
        parts=parts,
        judges=judges,
        records=sum(len(part.seen.records) for part in parts),
        answered=len(answered),
        labels=labels,
        states=states,
        pairs=tuple(pairs),
        fleiss=fleiss(ratings, cluster, len(labels)),
        alpha=krippendorff(ratings, cluster, len(labels)),
        common=int(complete.sum()),
        metric=metric,
        fault=fault,
        people=measure_people([part.seen for part in parts], answered, ratings, cluster, judges=judges, labels=labels),
        differing=tuple(
            Disagreement(run=parts[run].run, record=each)
            for (run, each), differ in zip(answered, differs, strict=True)
            if differ
        ),
        alone=tuple(measure_split(part) for part in parts) if len(parts) > 1 else (),
    )


def _measure_metric(
    parts: Sequence[SplitInRun], judges: Sequence[str], complete: Sequence[tuple[int, JudgedRecord]]
) -> tuple[MetricByJudge | None, str]:
    """The main metric under each judge over the runs that have it, or why there is none."""
    metric = main_metric(parts[0].seen.split.metrics)
    if len(parts) > 1 and metric.over_epochs:
        return None, f"{metric.name} takes all epochs of a sample as one, so runs cannot be pooled"
    # each run's answers are further epochs of their samples, so that groups stay within one run
    epochs = max(part.seen.epochs for part in parts)
    views: dict[str, list[Record]] = {judge: [] for judge in judges}
    common: dict[str, list[Record]] = {judge: [] for judge in judges}
    metrics: dict[str, Metric] = {}
    for number, part in enumerate(parts):
        for judge in part.seen.judges:
            metrics.setdefault(judge, main_metric(part.seen.metrics(judge)))
            views[judge] += (_shift(each.seen[judge], number * epochs) for each in part.seen.records)
    for number, each in complete:
        for judge in judges:
            common[judge].append(_shift(each.seen[judge], number * epochs))

    drawn = {person for part in parts if part.seen.draws for person in part.seen.people}

    def compute(judge: str, records: Sequence[Record], *, whole: bool) -> Mapping[str, Any]:
        tally = Tally([metrics[judge]], (), epochs=epochs)
        for record in records:
            tally.add(record)
        why = DRAWN_BY_LABEL if whole and judge in drawn else ""
        found: Mapping[str, Any] = tally.results(not_random=why)["metrics"][metrics[judge].name]
        return found

    try:
        with Guard():
            whole = {judge: compute(judge, records, whole=True) for judge, records in views.items()}
            values = {judge: compute(judge, records, whole=False)["value"] for judge, records in common.items()}
    except ScoringError as error:
        return None, f"{metric.name} could not be computed: the task raised {error}"
    coverage = {judge: sum(r.resolved for r in records) / max(len(records), 1) for judge, records in views.items()}
    return MetricByJudge(
        name=metric.name, unit=metric.unit, better=metric.better, whole=whole, coverage=coverage, common=values
    ), ""


def _shift(record: Record, epochs: int) -> Record:
    return replace(record, epoch=record.epoch + epochs) if epochs else record
