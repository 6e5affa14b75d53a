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
    from harness.stats.corrected import LabelledMetric


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
        if any(each.file.judges.get(view.judge, {}).get("rubric") == HUMAN for each, view in sides):
            return compared  # the ordinary difference is people's
        for each, view in sides:
            if (each.letter, view.title) not in self._views:
                self._views[each.letter, view.title] = load_labelled(each.stored, view)
        ours, theirs = (self._views[each.letter, view.title] for each, view in sides)
        if ours is None and theirs is None:
            return compared
        metrics = {metric.name: metric for metric in other.split.metrics}
        changes = {
            name: replace(change, people=self._compare(metrics[name], ours, theirs, run.letter))
            for name, change in compared.changes.items()
        }
        return replace(compared, changes=changes)

    def _compare(
        self, metric: Metric, baseline: LabelledView | None, other: LabelledView | None, letter: str
    ) -> PeopleChange | None:
        ours, theirs = (None if view is None else view.metrics.get(metric.name) for view in (baseline, other))
        if ours is None and theirs is None:
            return None
        labels = (0 if ours is None else ours.labels, 0 if theirs is None else theirs.labels)
        if not any(labels):
            return PeopleChange(labels=labels, why="nobody has labelled an answer of either run")
        if baseline is None or other is None or ours is None or theirs is None or not all(labels):
            has, lacks = (BASELINE, letter) if labels[0] else (letter, BASELINE)
            why = f"people labelled answers of {has} alone; `harness label` draws those of {lacks}"
            return PeopleChange(labels=labels, why=why)
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
        import numpy as np

        from harness.stats.common_errors import correct_by_common_errors
        from harness.stats.correction import correct_difference, count_cells, find_shortfall

        # the answers of each side as the compared judge sees them, and which of them both sides have
        records = [[view.records[int(row)] for row in labelled.rows] for view, labelled in (other, baseline)]
        items = [[(record.split, record.id, record.epoch) for record in own] for own in records]
        both = set(items[0]) & set(items[1])
        keep = [np.asarray([item in both for item in own], dtype=bool) for own in items]
        columns = ("cell", "cluster", "hit", "votes", "known")
        run, base = (
            replace(labelled.sample, **{name: getattr(labelled.sample, name)[rows] for name in columns})
            for (_, labelled), rows in zip((other, baseline), keep, strict=True)
        )
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
            ours, theirs = (  # what the judge's label of each answer counts as; NaN where it gave none
                np.asarray(
                    [metric.score(r)[0] if r.outcome == "answered" and r.label is not None else np.nan for r in own],
                    dtype=np.float64,
                )[rows]
                for own, rows in zip(records, keep, strict=True)
            )
            common = correct_by_common_errors(run, base, (ours, theirs))
            if common.value is not None and common.ci95 is not None:
                ends = to_unit(common.ci95[0], metric.unit), to_unit(common.ci95[1], metric.unit)
                common = replace(common, value=to_unit(common.value, metric.unit), ci95=ends)
        return PeopleChange(
            baseline=to_unit(found.side(-1), metric.unit),
            value=to_unit(found.side(1), metric.unit),
            difference=to_unit(found.value, metric.unit),
            ci95=(to_unit(low, metric.unit), to_unit(high, metric.unit)),
            labels=labels,
            common=common,
        )


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
