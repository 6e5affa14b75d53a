"""How many answers people must label for an interval of a given width, from the labels that are there (a pilot).

The arithmetic is that of `harness.stats.correction`. A plan is a guess from the pilot's rates, so it adds `MARGIN`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Final

import numpy as np

from harness.errors import HarnessError
from harness.evaluation.splits import SplitPlan
from harness.labels import OWN
from harness.metrics import Metric
from harness.runs.labelling import map_labels, select_draw_judge
from harness.runs.stored import HUMAN, StoredRun, build_judged_item, describe_split_run
from harness.stats.columns import Codes, cluster_name
from harness.stats.corrected import DISAGREEMENT
from harness.stats.correction import (
    LEAST_IN_CELL,
    SMALL,
    LabelledAnswers,
    LabelledCell,
    count_cells,
    expect_half_width,
    plan_labels,
    share_labels,
)
from harness.stats.draw import UNSCORED, DrawnFrame, FrameAnswer
from harness.stats.summary import label_record
from harness.stats.tally import main_metric
from harness.types import Json, Verdict

MARGIN: Final = 1.15  #: labels are asked for, over those that the pilot's rates give
PILOT: Final = 20  #: labels of each cell that tell its rate well enough to plan with
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """How many labels one split needs.

    Attributes:
        title: `task:split`.
        metric: name of its main metric.
        judge: whose labels are the cells; empty if no judge has seen the answers.
        half_width: that was asked for, 0 to 1.
        cells: of the pilot; known outcomes are labelled in full.
        labels: that the pilot has and that count.
        needed: labels of each cell in a draw, the margin added; empty without a plan.
        expected: half width that these labels are expected to give; None without a plan.
        best: half width with every answer labelled; None without a pilot.
        pilot: `--n` of the draw that makes a pilot; 0 where there is one.
        why: there is no plan, as a sentence without its full stop; empty where there is one.
        refused: the labels that are there give no corrected number for a reason that more labels do not mend, as a
            sentence without its full stop; empty for none.
    """

    title: str
    metric: str
    judge: str
    half_width: float
    cells: tuple[LabelledCell, ...] = ()
    labels: int = 0
    needed: Mapping[str, int] = field(default_factory=dict[str, int])
    expected: float | None = None
    best: float | None = None
    pilot: int = 0
    why: str = ""
    refused: str = ""

    @property
    def total(self) -> int:
        """Labels of all cells: `--n` of the draw."""
        return sum(self.needed.values())

    def as_json(self) -> dict[str, Json]:
        """The plan as JSON, in percent points."""

        def percent(share: float | None) -> float | None:
            return None if share is None else round(100 * share, _DIGITS)

        return {
            "metric": self.metric,
            "judge": self.judge or None,
            "half_width": percent(self.half_width),
            "labels": self.labels,
            "needed": self.total or None,
            "cells": [
                {
                    "name": cell.name,
                    "answers": int(cell.of),
                    "labels": int(cell.judged),
                    "value": percent(cell.rate) if cell.judged else None,
                    "needed": self.needed.get(cell.name),
                }
                for cell in self.cells
                if cell.name not in _KNOWN
            ],
            "expected_half_width": percent(self.expected),
            "best_half_width": percent(self.best),
            "pilot": self.pilot or None,
            "why": self.why or None,
            "refused": self.refused or None,
        }


_KNOWN: Final = ("blocked records", "empty records")


def plan_split(run: StoredRun, plan: SplitPlan, half_width: float, *, judge: str = "") -> LabelPlan:
    """How many labels a split needs, from the labels of all people that there are.

    Args:
        run: the run.
        plan: of the split.
        half_width: 0 to 1.
        judge: name of the judge whose labels are the cells; empty for that of the draw, else the primary one.
    """
    draw = run.folder.task(plan.display).load_draws().get(plan.name)
    chosen = select_draw_judge(run, plan, judge, draw)
    metric = main_metric(plan.split.metrics)
    found = LabelPlan(title=plan.title, metric=metric.name, judge=chosen, half_width=half_width)
    if why := explain_uncorrected(plan):
        return replace(found, why=why)
    pilot = _Pilot(run, plan, chosen, metric)
    if not pilot.frame:
        return replace(found, why="there is no answer to label")
    drawn = draw.order_frame(pilot.frame) if draw is not None and draw.judge == chosen else None
    sample = pilot.sample(drawn)
    cells = count_cells(sample)
    found = replace(found, cells=cells, labels=sample.labels)
    open_cells = [cell for cell in cells if cell.name not in _KNOWN]
    thin = [
        cell
        for cell in open_cells
        if cell.judged < min(LEAST_IN_CELL, pilot.left(cell)) and cell.of >= SMALL * len(pilot.frame)
    ]
    if thin or not sample.labels:
        few = max(sum(int(min(PILOT, cell.of)) for cell in open_cells), 0 if drawn is None else drawn.n)
        state = f"{int(thin[0].judged)} answers of {thin[0].name} are labelled" if drawn is not None and thin else ""
        why = f"{state or 'no answer is drawn and labelled'}, and a plan needs a pilot of about {PILOT} a cell"
        return replace(found, pilot=few, why=why, refused=_explain_refusal(run, plan, metric, enough=False))
    made = plan_from_pilot(found, measure_deff(sample))
    return replace(made, refused=_explain_refusal(run, plan, metric, enough=made.labels >= made.total > 0))


def plan_from_pilot(pilot: LabelPlan, deff: float) -> LabelPlan:
    """The plan with its labels; `deff` as in `harness.stats.correction.expect_half_width`."""
    drawn = [cell for cell in pilot.cells if cell.name not in _KNOWN]
    sizes = [int(cell.of) for cell in drawn]
    cells: list[LabelledCell] = []
    for cell in drawn:
        if cell.judged < cell.of:
            cells.append(cell)
        else:  # labelled in full by the pilot, it is open all the same: the plan says what the whole draw costs
            labels = max(cell.of - 1, 0.5)
            cells.append(replace(cell, hits=cell.rate * labels, judged=labels))
    cells += (cell for cell in pilot.cells if cell.name in _KNOWN)
    best = expect_half_width(cells, sum(sizes), deff)
    needed = plan_labels(cells, pilot.half_width, deff)
    if needed is None:
        why = f"even with every answer labelled the half width is about {100 * best:.1f}: the split has too few answers"
        return replace(pilot, best=best, why=why)
    total = min(ceil(needed * MARGIN), sum(sizes))
    shares = zip((cell.name for cell in drawn), share_labels(sizes, total), strict=True)
    return replace(pilot, needed=dict(shares), expected=expect_half_width(cells, total, deff), best=best)


def explain_uncorrected(plan: SplitPlan) -> str:
    """Why labels of a split will not correct its main metric, and which metrics they will, as a sentence without its
    full stop; empty where the main metric can be corrected.
    """
    if not (why := explain_unfit(main_metric(plan.split.metrics))):
        return ""
    given = frozenset(map_labels(plan.split, plan.maps).labels)
    able = [
        metric.name
        for metric in plan.split.metrics
        if not explain_unfit(metric) and OWN not in metric.name and given.intersection(metric.labels or given)
    ]
    return f"{why}; labels correct {', '.join(able)}" if able else f"{why}; labels correct no metric of this split"


def _explain_refusal(run: StoredRun, plan: SplitPlan, metric: Metric, *, enough: bool) -> str:
    """Why results.json has no corrected number for a reason that more labels do not mend; empty if it has none.

    Args:
        run: the run.
        plan: of the split.
        metric: its main one.
        enough: there are as many labels as are needed.
    """
    try:
        view = run.folder.results["tasks"][plan.display]["splits"][plan.name]
        for judged in (view, *view["other_judges"].values()):  # the same in the view of each machine judge
            found: Mapping[str, Any] = judged["metrics"].get(metric.name, {}).get("corrected") or {}
            if why := str(found.get("why") or ""):
                return why if enough or found.get("code") == DISAGREEMENT else ""
    except (HarnessError, KeyError, TypeError, AttributeError):  # a run without results, or an edited file
        pass
    return ""


def explain_unfit(metric: Metric) -> str:
    """Why a metric's labels cannot be planned, as a sentence without its full stop; empty where they can."""
    if metric.unit != "%" or metric.group is not None or metric.stratum is not None or metric.over_epochs:
        return f"{metric.name} is no share of single answers, and only such a number is corrected"
    return ""


class _Pilot:
    """The answers of a split in cells, with what people say of them, read in one pass."""

    def __init__(self, run: StoredRun, plan: SplitPlan, judge: str, metric: Metric) -> None:
        cards = run.file.judges
        there = run.folder.task(plan.display).judges()
        people = [each for each in there if each in cards and cards[each]["rubric"] == HUMAN]
        words = describe_split_run(run.file, plan, plan.name, (judge,) if judge in cards else ()).judges
        self.frame: list[FrameAnswer] = []
        self.tried: set[str] = set()
        self._items: list[str] = []
        self._names: Codes[str] = Codes()
        self._clusters: Codes[str] = Codes()
        self._cell: list[int] = []
        self._cluster: list[int] = []
        self._hits: list[float] = []
        self._votes: list[int] = []
        self._known: list[bool] = []
        for answer in run.answers(plan.title, (*words, *people)):
            judged = build_judged_item(answer)
            seen = label_record(judged.record, judged.decision(judge or None), plan.split, words.get(judge, {}))
            known = answer.outcome != "answered"
            if known and not seen.resolved:
                continue
            shares = (metric.score(seen),) if known else metric.possible(judged.record)
            if not any(den for _, den in shares):
                continue
            labels = [said for person in people if (said := judged.decision(person)) is not None]
            votes = [
                metric.score(label_record(judged.record, said, plan.split, {}))[0]
                for said in labels
                if isinstance(said, Verdict)
            ]
            name = ("blocked records" if seen.blocked else "empty records") if known else seen.label or UNSCORED
            if not known:
                self.frame.append(FrameAnswer(item=answer.item, cell=name, answer_hash=answer.hash))
                if labels:
                    self.tried.add(answer.item)
            self._items.append(answer.item)
            self._cell.append(self._names.code(name))
            self._cluster.append(self._clusters.code(cluster_name(judged.record)))
            self._known.append(known)
            self._hits.append(shares[0][0] if known else sum(votes) / len(votes) if votes else 0.0)
            self._votes.append(1 if known else len(votes))

    def left(self, cell: LabelledCell) -> int:
        """Answers of a cell that can have a label: all but those that people skipped."""
        votes = dict(zip(self._items, self._votes, strict=True))
        names = {answer.item for answer in self.frame if answer.cell == cell.name}
        return sum(item not in self.tried or votes[item] > 0 for item in names)

    def sample(self, drawn: DrawnFrame | None) -> LabelledAnswers:
        """The answers with the labels that count by a draw of them; with none of them for None."""
        votes = np.array(self._votes, dtype=np.int64)
        labelled = {item for item, count in zip(self._items, self._votes, strict=True) if count}
        usable: frozenset[str] = frozenset()
        if drawn is not None:
            usable = drawn.find_usable(labelled, self.tried - labelled)
        known = np.array(self._known, dtype=bool)
        counts = known | np.array([item in usable for item in self._items], dtype=bool)
        return LabelledAnswers(
            cell=np.array(self._cell, dtype=np.int64),
            names=tuple(self._names.values),
            cluster=np.array(self._cluster, dtype=np.int64),
            hit=np.where(counts, np.array(self._hits, dtype=np.float64), 0.0),
            votes=np.where(counts, votes, 0),
            known=known,
        )


def measure_deff(sample: LabelledAnswers) -> float:
    """How much more the cells' rates vary over clusters than over as many independent answers; at least 1."""
    of, judged, hits = sample.sum_cells()
    rate = np.divide(hits, judged, out=np.full(len(of), 0.5), where=judged > 0)[sample.cell]
    residuals = rate - rate.mean()
    alone = float((residuals**2).sum())
    if alone <= 0:
        return 1.0
    _, cluster = np.unique(sample.cluster, return_inverse=True)
    together = float((np.bincount(cluster, weights=residuals) ** 2).sum())
    return max(1.0, together / alone)


def plan_run(run: StoredRun, half_width: float, *, judge: str = "") -> list[LabelPlan]:
    """The plan of each planned split of a run; the arguments are those of `plan_split`."""
    return [plan_split(run, plan, half_width, judge=judge) for plan in run.plans]


def list_pilots(plans: Sequence[LabelPlan]) -> int:
    """`--n` of the draw that makes a pilot of every split that lacks one; 0 where none does."""
    return max((plan.pilot for plan in plans), default=0)
