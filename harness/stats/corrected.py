"""What people's labels say of a split's metrics: `metrics.X.corrected` of results.json.

    labelled = LabelledRecords(ran)
    for item in items:                  # each asked item, and its record as each judge sees it
        labelled.add(item, seen)
    labelled.correct(tables)            # metric -> its `corrected`; None where nobody labelled and nothing was drawn

`harness.stats.draw` says which labels count, and `harness.stats.correction` what they give. This module puts both
together for one split, or for one that is pooled from several. What must hold:

- A cell is a part of the split, how generation ended and, for answers, the label of the draw's judge.
- Each part has a draw of its own. The corrected number needs all of them.
- Without a draw only labels of every answer give a number, which is then the ordinary one.
- An answer that several people labelled counts as the mean of what they say.
- The number is people's, so each machine judge of the split shows the same one.
- A label that does not count is named.
- A metric that is no share of single records has no number. One that people's labels cannot change has no key: a share
  of blocks, and of a rubric's own label.

The tables (`harness.stats.columns.Table`) are those of the split's views: their rows are the items in the order of
`add`. This module imports numpy, so it is imported only where a split has labels or a draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from harness.labels import OWN
from harness.metrics import Metric, Record
from harness.stats.agreement import MISSING, Agreement, krippendorff
from harness.stats.columns import ANSWERED, RESOLVED, UNJUDGED, Codes, MetricColumns, Table
from harness.stats.correction import LEAST_IN_CELL, Correction, LabelledAnswers, correct
from harness.stats.draw import UNSCORED, DrawnFrame, FrameAnswer
from harness.stats.tally import to_unit
from harness.stats.units import Bools, Ints, as_ints, sort_rows
from harness.types import Json

if TYPE_CHECKING:
    from harness.stats.summary import JudgedItem, SplitRun

LEAST_ALPHA: Final = 0.67  #: Krippendorff's alpha; below it people's labels correct nothing
#: why people's labels give no number: `code` of results.json, for programs
Code = Literal[
    "no_labels", "not_drawn", "outdated_draw", "unreadable_draw", "unfit_metric", "few_labels", "disagreement"
]
DISAGREEMENT: Final[Code] = "disagreement"
LEAST_RARE: Final = 10  #: answers of the rarer kind, among those that several people labelled, before alpha decides
_DIGITS: Final = 10
_BINARY: Final = {(0, 0), (0, 1), (1, 1)}  #: shares that a metric of single records may give


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Cell:
    """One cell of the estimator.

    Attributes:
        part: the split of its records.
        known: its records need no label.
        name: the label of the draw's judge, or how generation ended.
    """

    part: str
    known: bool
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selection:
    """Which labels of some people count.

    Attributes:
        usable: rows.
        labelled: how many rows have a label.
        drawn: each part has a draw that fits its answers.
        why: reason for using none, a sentence without its full stop; empty where some may be used.
        code: of this reason; None where some may be used.
    """

    usable: Bools
    labelled: int
    drawn: bool
    why: str
    code: Code | None

    @property
    def idle(self) -> int:
        """Labels that do not count yet."""
        return 0 if self.why else self.labelled - int(self.usable.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _PeopleAgreement:
    """How far people agree on what one metric counts.

    Attributes:
        alpha: Krippendorff's, of hit or no hit.
        same: answers, among those that several people labelled, on which all of them agree.
        rare: answers among those with the rarer of hit and no hit from anybody.
    """

    alpha: Agreement
    same: int
    rare: int

    @property
    def why(self) -> str:
        """Why people's labels correct nothing, a sentence without its full stop; empty where they do.

        Of a few rare labels one dissent takes alpha to nothing, so there it says nothing.
        """
        found = self.alpha
        if found.value is None or found.value >= LEAST_ALPHA or self.rare < LEAST_RARE:
            return ""
        return (
            f"people agree too little: on {self.same} of the {found.n} answers that several of them labelled, with an "
            f"alpha of {found.value:.2f} where {LEAST_ALPHA} is needed; a clearer guideline or a third person helps"
        )

    def as_json(self) -> dict[str, Json]:
        """As in results.json."""
        found = self.alpha
        return {
            "n": found.n,
            "same": self.same,
            "value": None if found.value is None else round(found.value, _DIGITS),
            "ci95": None if found.ci95 is None else [round(end, _DIGITS) for end in found.ci95],
            **({"why": found.why.value} if found.why is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledMetric:
    """The labelled answers behind one metric's corrected number, for a comparison of runs.

    Attributes:
        sample: the answers.
        rows: of each answer: its place in the order of `LabelledRecords.add`.
        labels: how many answers people labelled.
        why: they give no number, whatever is taken of them: a sentence without its full stop; empty where they may.
    """

    sample: LabelledAnswers
    rows: Ints
    labels: int
    why: str


class LabelledRecords:
    """The records of one split, some of whose answers people labelled.

    Args:
        ran: how the split was run, with its annotators and the draw of each of its parts.
    """

    def __init__(self, ran: SplitRun) -> None:
        self._ran = ran
        self._cells: Codes[_Cell] = Codes()
        self._codes: dict[tuple[str, str, bool], int] = {}
        self._order: Ints | None = None
        self._settled = list(ran.split.metrics)  # no label of an answer so far would change them
        self._cell: list[int] = []  # of each row; -1 where it is outside every number
        self._frames: dict[str, dict[int, FrameAnswer]] = {part: {} for part in ran.draws}  # part -> row -> answer
        self._labels: dict[str, dict[int, str]] = {person: {} for person in ran.people}  # person -> row -> label
        self._varies: set[str] = set()  # metrics that divide a labelled answer by what its label says

    def add(self, item: JudgedItem, seen: Mapping[str | None, Record]) -> None:
        """Count one item.

        Args:
            item: of this split, or of one of its parts.
            seen: its record as each judge sees it.
        """
        record, row = item.record, len(self._cell)
        if record.outcome != "answered":
            name = "blocked" if record.blocked else record.outcome
            resolved = seen[self._ran.primary].resolved
            self._cell.append(self._find_cell(record.split, name, known=True) if resolved else -1)
            return
        draw = self._ran.draws.get(record.split)
        judged = None if draw is None else seen.get(draw.judge)
        label = (judged and judged.label) or UNSCORED
        self._cell.append(self._find_cell(record.split, label, known=False))
        if draw is not None:
            self._frames[record.split][row] = FrameAnswer(item=record.item, cell=label, answer_hash=item.answer_hash)
        if self._settled:
            unlabelled = replace(record, label=None, axes={}, unjudged=True)
            self._settled = [each for each in self._settled if len(set(each.possible(unlabelled))) < 2]
        for person, labels in self._labels.items():
            if (own := seen[person]).label is not None:
                labels[row] = own.label
                self._watch_denominators(own)

    def _find_cell(self, part: str, name: str, *, known: bool) -> int:
        key = part, name, known
        if key not in self._codes:
            self._codes[key] = self._cells.code(_Cell(part=part, known=known, name=name))
        return self._codes[key]

    def _watch_denominators(self, record: Record) -> None:
        unlabelled = replace(record, label=None, axes={}, unjudged=True)
        for metric in self._ran.split.metrics:
            if metric.name not in self._varies:
                shares = (metric.score(record), *metric.possible(unlabelled))
                if len({den for _, den in shares}) > 1:
                    self._varies.add(metric.name)

    def correct(self, tables: Mapping[str | None, Table]) -> dict[str, Json] | None:
        """Metric -> its `corrected`; None where nobody labelled or skipped an answer and nothing was drawn.

        Args:
            tables: of the split's judges, its annotators among them.
        """
        ran = self._ran
        people = {person: tables[person] for person in ran.people if _find_tried(tables[person]).any()}
        if not (people or ran.draws or ran.draw_fault):
            return None
        some = next(iter(people.values()), tables[ran.primary])
        together = self._select(people)
        alone = {person: self._select({person: own}) for person, own in people.items() if len(people) > 1}
        notes = self._list_notes(people, together)
        made: dict[str, Json] = {}
        for place, columns in enumerate(some.metrics):
            metric = columns.metric
            if not self._needs_labels(metric):
                continue
            unfit = self._explain_unfit(place, people, columns)
            whole = self._estimate(place, people, some, together, unfit)
            code = together.code or ("unfit_metric" if unfit else "few_labels" if whole.why else None)
            agreement = None if unfit else self._measure_agreement(place, people, some)
            if not whole.why and agreement is not None and agreement.why:
                whole, code = replace(whole, value=None, ci95=None, why=agreement.why), DISAGREEMENT
            each: dict[str, Json] = {}
            for person, selection in alone.items():
                own = self._estimate(place, {person: people[person]}, some, selection, unfit)
                if selection.idle and own.why and not unfit:  # few of these labels count, not few labels
                    own = replace(own, why=f"{own.why}; {selection.idle} more are ahead of the draw")
                each[person] = _format_estimate(own, metric.unit)
            made[metric.name] = {
                **_format_estimate(whole, metric.unit),
                **({"code": code} if code else {}),
                "of": whole.of,
                "design": self._describe_design(whole, metric.unit, unfit) if together.drawn else None,
                "alpha": None if agreement is None else agreement.as_json(),
                **({"annotators": each} if each else {}),
                "adds_nothing": whole.adds_nothing,
                **({"notes": list(notes)} if notes else {}),
            }
        return made

    def collect(self, tables: Mapping[str | None, Table]) -> dict[str, LabelledMetric]:
        """Metric -> its labelled answers; empty where nobody labelled or skipped an answer and nothing was drawn.

        Args:
            tables: as in `correct`.
        """
        ran = self._ran
        people = {person: tables[person] for person in ran.people if _find_tried(tables[person]).any()}
        if not (people or ran.draws or ran.draw_fault):
            return {}
        some = next(iter(people.values()), tables[ran.primary])
        selection = self._select(people)
        found: dict[str, LabelledMetric] = {}
        for place, columns in enumerate(some.metrics):
            if not self._needs_labels(columns.metric):
                continue
            unfit = self._explain_unfit(place, people, columns)
            sample, rows = self._collect(place, people, some, selection, unfit)
            agreement = None if unfit else self._measure_agreement(place, people, some)
            found[columns.metric.name] = LabelledMetric(
                sample=sample,
                rows=rows,
                labels=selection.labelled if selection.why else sample.labels,
                why=selection.why or unfit or ("" if agreement is None else agreement.why),
            )
        return found

    @cached_property
    def _drawn_frames(self) -> dict[str, DrawnFrame | None]:
        """Part -> its answers in the order of its draw; None for a draw that does not fit them."""
        return {part: self._ran.draws[part].order_frame(tuple(rows.values())) for part, rows in self._frames.items()}

    def _needs_labels(self, metric: Metric) -> bool:
        """Whether people's labels say anything of a metric: not of blocks, nor of a rubric's own labels."""
        return OWN not in metric.name and all(each.name != metric.name for each in self._settled)

    def _select(self, people: Mapping[str, Table]) -> _Selection:
        cell = as_ints(self._cell)
        labelled, tried, usable = (np.zeros(len(cell), dtype=bool) for _ in range(3))
        for table in people.values():
            labelled |= _find_labelled(table)
            tried |= _find_tried(table)
        why, drawn = self._ran.draw_fault, not self._ran.draw_fault
        code: Code | None = "unreadable_draw" if why else None
        cells = self._cells.values
        parts = sorted({each.part for each in cells if not each.known})
        for part in parts:
            rows = np.isin(cell, [code for code, each in enumerate(cells) if each.part == part and not each.known])
            named = f" of {part}" if len(parts) > 1 else ""
            drawn_frame = self._drawn_frames.get(part)
            if drawn_frame is not None:
                frame = self._frames[part]
                row_of = {frame[row].item: row for row in np.flatnonzero(tried & rows).tolist()}
                found = drawn_frame.find_usable(
                    {item for item, row in row_of.items() if labelled[row]},
                    {item for item, row in row_of.items() if not labelled[row]},
                )
                usable[[row_of[item] for item in found]] = True
                continue
            drawn = False
            if labelled[rows].all():
                usable |= rows
            elif part in self._ran.draws:
                code = code or "outdated_draw"
                why = why or (
                    f"answers{named} or their judge's labels have changed since the draw; `harness label RUN` draws "
                    "again and keeps all labels"
                )
            elif labelled[rows].any():
                code = code or "not_drawn"
                why = why or (
                    f"the labelled answers{named} were not drawn at random; `harness label RUN` draws them and keeps "
                    "all labels"
                )
            else:
                code = code or "no_labels"
                why = why or f"no answer{named} is labelled"
        if why:
            usable[:] = False
        return _Selection(usable=usable, labelled=int(labelled.sum()), drawn=drawn, why=why, code=code)

    def _measure_agreement(self, place: int, people: Mapping[str, Table], some: Table) -> _PeopleAgreement | None:
        """How far people agree on what a metric counts; None if no answer has labels of two."""
        ratings = np.full((len(some), len(people)), MISSING, dtype=np.int64)
        for column, table in enumerate(people.values()):
            own = table.metrics[place]
            hit = np.array([shares[0][0] > 0 for shares in own.choices.values], dtype=np.int64)[as_ints(own.choice)]
            ratings[:, column] = np.where(_find_labelled(table), hit, MISSING)
        given = (ratings != MISSING).sum(axis=1)
        several = given > 1
        if not several.any():
            return None
        hits = (ratings == 1).sum(axis=1)[several]
        some_hit, some_miss = int((hits > 0).sum()), int((hits < given[several]).sum())
        return _PeopleAgreement(
            alpha=krippendorff(ratings[several], as_ints(some.cluster)[several], 2),
            same=int(((hits == 0) | (hits == given[several])).sum()),
            rare=min(some_hit, some_miss),
        )

    def _list_notes(self, people: Mapping[str, Table], together: _Selection) -> list[str]:
        notes: list[str] = []
        known = self._ran.split.vocabulary
        for person in people:
            labels = self._labels[person]
            if known is not None and (unknown := sorted(set(labels.values()) - set(known))):
                words = ", ".join(map(repr, unknown))
                notes.append(f"{person} gave labels that the split does not know, so no metric counts them: {words}")
            if len(labels) >= LEAST_IN_CELL and len(set(labels.values())) == 1:
                notes.append(f"{person} gave all {len(labels)} answers the same label, {next(iter(labels.values()))!r}")
        if together.idle:
            count = f"{together.idle} labels do" if together.idle > 1 else "1 label does"
            notes.append(
                f"{count} not count yet: an answer before in the draw is neither labelled nor skipped, or they lie "
                "beyond the draw"
            )
        return notes

    def _explain_unfit(self, place: int, people: Mapping[str, Table], columns: MetricColumns) -> str:
        """Why a metric is not corrected at all, as a sentence without its full stop; empty where it is."""
        metric, does = columns.metric, ""
        choices = {each for table in people.values() for each in table.metrics[place].choices.values}
        if metric.group is not None:
            does = "scores several records as one"
        elif metric.over_epochs:
            does = "scores the epochs of a sample as one"
        elif metric.stratum is not None:
            does = "is a mean over strata"
        elif metric.unit != "%" or any(share not in _BINARY for shares in choices for share in shares):
            does = "gives records other shares than 0 and 1"
        elif metric.name in self._varies or any(len({den for _, den in shares}) > 1 for shares in choices):
            does = "is divided by what depends on the labels"
        return f"the metric {does}, and the correction of that has not been tested" if does else ""

    def _estimate(
        self, place: int, people: Mapping[str, Table], some: Table, selection: _Selection, unfit: str
    ) -> Correction:
        """What these people's selected labels say of one metric."""
        found = correct(self._collect(place, people, some, selection, unfit)[0])
        if selection.why:
            found = replace(found, labels=selection.labelled)
        why = selection.why or unfit or found.why
        return replace(found, value=None, ci95=None, why=why) if why else found

    def _collect(
        self, place: int, people: Mapping[str, Table], some: Table, selection: _Selection, unfit: str
    ) -> tuple[LabelledAnswers, Ints]:
        """The answers that count for one metric, with these people's selected labels; and their rows."""
        columns = some.metrics[place]
        cell = as_ints(self._cell)
        names = [self._name_cell(each) for each in self._cells.values]
        known = np.array([each.known for each in self._cells.values] or [False])[cell] & (cell >= 0)
        code = as_ints(columns.choice)
        first = np.array([shares[0] for shares in columns.choices.values], dtype=np.float64).reshape(-1, 2)[code]
        hits, votes = np.where(known, first[:, 0], 0.0), known.astype(np.int64)
        for table in people.values():
            own = table.metrics[place]
            numerator = np.array([shares[0][0] for shares in own.choices.values], dtype=np.float64)[as_ints(own.choice)]
            says = _find_labelled(table) & selection.usable
            hits += np.where(says, numerator, 0.0)
            votes += says
        counts = (cell >= 0) & ((first[:, 1] > 0) | bool(unfit))
        if self._order is None:  # all tables have the same
            self._order = sort_rows(some)
        rows = self._order[counts[self._order]]
        sample = LabelledAnswers(
            cell=cell[rows],
            names=tuple(names),
            cluster=as_ints(columns.cluster or some.cluster)[rows],
            hit=np.zeros(len(rows)) if unfit else (hits / np.maximum(votes, 1))[rows],
            votes=votes[rows],
            known=known[rows],
        )
        return sample, rows

    def _name_cell(self, cell: _Cell) -> str:
        several = len({each.part for each in self._cells.values}) > 1
        part = f" of {cell.part}" if several else ""
        if cell.known:
            return f"{cell.name} records{part}"
        if cell.name == UNSCORED:
            return f"answers{part} without a label of the judge"
        return f"answers{part} judged {cell.name}"

    def _describe_design(self, whole: Correction, unit: str, unfit: str) -> dict[str, Json]:
        ran, cells = self._ran, self._cells.values
        several = len({each.part for each in cells}) > 1
        by_name = {cell.name: cell for cell in whole.cells}
        described: list[Json] = []
        for each in sorted(cells):
            if (found := by_name.get(self._name_cell(each))) is None:
                continue
            has_value = not unfit and (each.known or found.judged > 0)
            described.append(
                {
                    "name": f"{each.part}: {each.name}" if several else each.name,
                    "answers": int(found.of),
                    "labels": 0 if each.known else int(found.judged),
                    "value": to_unit(found.rate, unit) if has_value else None,
                    **({"known": True} if each.known else {}),
                }
            )
        judges, seeds = ({getattr(draw, name) for draw in ran.draws.values()} for name in ("judge", "seed"))
        return {
            "judge": (judges.pop() or None) if len(judges) == 1 else None,
            "seed": seeds.pop() if len(seeds) == 1 else None,
            "cells": described,
        }


def _find_labelled(table: Table) -> Bools:
    """Answers with a label."""
    state = np.asarray(table.state)
    return np.asarray((state & (ANSWERED | RESOLVED)) == (ANSWERED | RESOLVED))


def _find_tried(table: Table) -> Bools:
    """Answers with a label, and those that the person skipped."""
    state = np.asarray(table.state)
    return np.asarray((state & (ANSWERED | UNJUDGED)) == ANSWERED)


def _format_estimate(found: Correction, unit: str) -> dict[str, Json]:
    return {
        "value": None if found.value is None else to_unit(found.value, unit),
        "ci95": None if found.ci95 is None else [to_unit(end, unit) for end in found.ci95],
        **({"why": found.why} if found.why else {}),
        "labels": found.labels,
    }
