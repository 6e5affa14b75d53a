"""The difference of two runs by people's labels: each run with its own, over the items that both have.

A run without labels or a draw costs nothing more. Another run's split is read once more from its lines, with all judges
and the recorded draw, as results.json is made (`harness.stats.corrected`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.metrics import Metric, Record
from harness.runs.comparing.comparison import BASELINE, PeopleChange, SplitComparison
from harness.runs.comparing.sides import ComparedRun, SplitView
from harness.runs.results import Guard
from harness.runs.stored import HUMAN, StoredRun, build_judged_item, describe_split_run
from harness.stats.summary import SplitSummary, pool_runs
from harness.stats.tally import to_unit

if TYPE_CHECKING:
    from harness.stats.common_errors import CommonErrors
    from harness.stats.corrected import LabelledMetric
    from harness.stats.correction import LabelledAnswers
    from harness.stats.units import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledView:
    """One split of one run with people's labels.

    Attributes:
        metrics: name -> its labelled answers.
        records: the split's records as the compared judge sees them; the answers' rows are places in it.
    """

    metrics: Mapping[str, LabelledMetric]
    records: Sequence[Record]


class PeopleComparer:
    """Adds what people's labels say to comparisons of splits; reads each split of a run once.

    Args:
        common_errors: also give the difference if the judge errs alike on both runs.
    """

    def __init__(self, *, common_errors: bool) -> None:
        self._common_errors = common_errors
        self._views: dict[tuple[str, str], LabelledView | None] = {}

    def add(
        self, compared: SplitComparison, base: ComparedRun, baseline: SplitView, run: ComparedRun, other: SplitView
    ) -> SplitComparison:
        """The comparison with what people's labels say of each metric. Raises ScoringError if the task's code raises.

        Args:
            compared: the comparison by the judge's labels.
            base: the baseline.
            baseline: the split in it.
            run: the run.
            other: the split in the run.
        """
        sides = ((base, baseline), (run, other))
        if any(_is_person(each, view.judge) for each, view in sides):
            return compared  # the ordinary difference is people's
        ours, theirs = (self._load(each, view) for each, view in sides)
        if ours is None and theirs is None:
            return compared
        metrics = {metric.name: metric for metric in other.split.metrics}
        changes = {
            name: replace(change, people=self._compare(metrics[name], ours, theirs, run.letter))
            for name, change in compared.changes.items()
        }
        return replace(compared, changes=changes)

    def _load(self, run: ComparedRun, view: SplitView) -> LabelledView | None:
        key = run.letter, view.title
        if key not in self._views:
            self._views[key] = load_labelled(run.stored, view)
        return self._views[key]

    def _compare(
        self, metric: Metric, baseline: LabelledView | None, other: LabelledView | None, letter: str
    ) -> PeopleChange | None:
        ours, theirs = (None if view is None else view.metrics.get(metric.name) for view in (baseline, other))
        if ours is None and theirs is None:
            return None
        labels = (0 if ours is None else ours.labels, 0 if theirs is None else theirs.labels)
        if baseline is None or other is None or ours is None or theirs is None or not all(labels):
            return PeopleChange(labels=labels, why=_explain_missing(labels, letter))
        for name, side in ((BASELINE, ours), (letter, theirs)):
            if side.why:
                return PeopleChange(labels=labels, why=f"of {name}, {side.why}")
        return self._estimate(metric, (other, theirs), (baseline, ours), letter)

    def _estimate(
        self,
        metric: Metric,
        other: tuple[LabelledView, LabelledMetric],
        baseline: tuple[LabelledView, LabelledMetric],
        letter: str,
    ) -> PeopleChange:
        from harness.stats.common_errors import correct_by_common_errors
        from harness.stats.correction import correct_difference, count_cells, find_shortfall

        items = [
            [(record.split, record.id, record.epoch) for record in _list_records(view, labelled)]
            for view, labelled in (other, baseline)
        ]
        both = set(items[0]) & set(items[1])
        keep = [_select(own, both) for own in items]
        run, base = (_pick(side[1].sample, rows) for side, rows in zip((other, baseline), keep, strict=True))
        labels = base.labels, run.labels
        for name, sample in ((BASELINE, base), (letter, run)):
            if why := find_shortfall(count_cells(sample), sample.labels, len(sample)):
                return PeopleChange(labels=labels, why=f"of {name}, {why}")
        found = correct_difference(run, base)
        if isinstance(found, str):
            return PeopleChange(labels=labels, why=found)
        low, high = found.interval()
        common = None
        if self._common_errors:
            judged = [
                _read_judge(metric, view, labelled)[rows]
                for (view, labelled), rows in zip((other, baseline), keep, strict=True)
            ]
            common = _scale(correct_by_common_errors(run, base, (judged[0], judged[1])), metric.unit)
        return PeopleChange(
            baseline=to_unit(found.side(-1), metric.unit),
            value=to_unit(found.side(1), metric.unit),
            difference=to_unit(found.value, metric.unit),
            ci95=(to_unit(low, metric.unit), to_unit(high, metric.unit)),
            labels=labels,
            common=common,
        )


def _scale(found: CommonErrors, unit: str) -> CommonErrors:
    """The difference in a metric's unit."""
    if found.value is None or found.ci95 is None:
        return found
    low, high = found.ci95
    return replace(found, value=to_unit(found.value, unit), ci95=(to_unit(low, unit), to_unit(high, unit)))


def _is_person(run: ComparedRun, judge: str) -> bool:
    return run.file.judges.get(judge, {}).get("rubric") == HUMAN


def _explain_missing(labels: tuple[int, int], letter: str) -> str:
    if not any(labels):
        return "nobody has labelled an answer of either run"
    has, lacks = (BASELINE, letter) if labels[0] else (letter, BASELINE)
    return f"people labelled answers of {has} alone; `harness label` draws those of {lacks}"


def load_labelled(stored: StoredRun, view: SplitView) -> LabelledView | None:
    """A split with people's labels; None where nobody labelled and nothing was drawn. Raises ScoringError.

    Args:
        stored: the run, with the plans of the split or of its parts.
        view: the split under the compared judge.
    """
    folder, names = stored.folder.task(view.display), view.split.parts or (view.name,)
    judges = tuple(judge for judge in folder.judges() if judge in stored.file.judges)
    fault = ""
    try:
        draws = {name: draw for name, draw in folder.load_draws().items() if name in names}
    except HarnessError as error:
        draws, fault = {}, f"{error.where}: {error.what}"
    if not (draws or fault or any(stored.file.judges[judge]["rubric"] == HUMAN for judge in judges)):
        return None
    plans = {plan.name: plan for plan in stored.plans if plan.display == view.display}
    ran = [
        replace(
            describe_split_run(stored.file, plans[name], name, judges),
            draws={name: draws[name]} if name in draws else {},
            draw_fault=fault,
        )
        for name in names
    ]
    whole = SplitSummary(pool_runs(view.split, ran)) if view.split.parts else None
    records: list[Record] = []
    summaries = [SplitSummary(run) for run in ran]
    for name, summary in zip(names, summaries, strict=True):
        for answer in stored.answers(f"{view.display}:{name}", judges):
            item = build_judged_item(answer, hashed=bool(draws))
            with Guard():
                seen = summary.add(item)
                if whole is not None:
                    whole.pool(item, seen)
            records.append(seen[view.judge or None])
    folder.forget_indexes()
    with Guard():
        metrics = (whole or summaries[0]).collect_labelled()
    return LabelledView(metrics=metrics, records=records) if metrics else None


def _list_records(view: LabelledView, labelled: LabelledMetric) -> list[Record]:
    """The records of a metric's answers, as the compared judge sees them."""
    return [view.records[int(row)] for row in labelled.rows]


def _select(items: Sequence[tuple[str, str, int]], common: set[tuple[str, str, int]]) -> Bools:
    import numpy as np

    return np.asarray([item in common for item in items], dtype=bool)


def _pick(sample: LabelledAnswers, rows: Bools) -> LabelledAnswers:
    columns = {name: getattr(sample, name)[rows] for name in ("cell", "cluster", "hit", "votes", "known")}
    return replace(sample, **columns)


def _read_judge(metric: Metric, view: LabelledView, labelled: LabelledMetric) -> Floats:
    """What the compared judge's label of each answer counts as; NaN where it gave none."""
    import numpy as np

    said = [
        metric.score(record)[0] if record.outcome == "answered" and record.label is not None else np.nan
        for record in _list_records(view, labelled)
    ]
    return np.asarray(said, dtype=np.float64)
