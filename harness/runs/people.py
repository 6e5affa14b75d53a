"""People's labels of a split as the reference of its judges.

Each machine judge is compared with what most people say of an answer, and with each person apart; each person with what
the others say, which is the ceiling that no judge can be asked to pass. An answer on which as many people say one thing
as another has no reference: it is left out and counted.

Where the answers were drawn (`harness.stats.draw`) the labelled ones stand for all answers of their cell, by
`harness.stats.drawn_accuracy`. Only labels that are a random part of each cell are used then. Without a draw, or where
answers or the labels of its judge have changed since, the figures are those of the labelled answers alone; `why` says
so. In several runs each run's answers have cells of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.runs.stored import JudgedRecord, JudgedSplit
from harness.stats.agreement import MISSING, Agreement
from harness.stats.correction import LEAST_IN_CELL
from harness.stats.draw import DrawnFrame
from harness.stats.drawn_accuracy import JudgeAccuracy, measure_drawn, measure_given
from harness.stats.units import Bools, Ints

PEOPLE: Final = "people"  #: what most of the annotators say
SKIPPED: Final = "judge_refused"  #: state of an answer that a person has skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAccuracy:
    """One judge against one reference.

    Attributes:
        accuracy: the figures.
        unscored: labelled answers to which the judge gave no label.
        weighted: the labelled answers stand for all answers, by a recorded draw.
    """

    accuracy: JudgeAccuracy
    unscored: int
    weighted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotator:
    """One person's labels of a split.

    Attributes:
        labels: answers that the person labelled.
        skipped: answers that the person skipped.
        always: the one label that the person gives always; empty if several, or too few to tell.
        against_others: the person against what most others say; None if nobody else labelled.
    """

    labels: int
    skipped: int
    always: str
    against_others: ReferenceAccuracy | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleAgreement:
    """The judges of a split against people.

    Attributes:
        annotators: person -> their labels.
        labelled: answers that somebody labelled.
        tied: of these, answers on which people are evenly divided.
        unused: labels that do not count yet: answers drawn before them have none, or they lie beyond the draw.
        weighted: the labelled answers stand for all answers, by a recorded draw.
        why: why they do not, a sentence without its full stop; empty where they do.
        judges: machine judge -> reference (`people`, and each person where there are several) -> its accuracy.
    """

    annotators: Mapping[str, Annotator]
    labelled: int
    tied: int
    unused: int
    weighted: bool
    why: str
    judges: Mapping[str, Mapping[str, ReferenceAccuracy]]


def measure_people(
    splits: Sequence[JudgedSplit],
    answered: Sequence[tuple[int, JudgedRecord]],
    ratings: Ints,
    cluster: Ints,
    *,
    judges: Sequence[str],
    labels: Sequence[str],
) -> PeopleAgreement | None:
    """Compare the judges of a split, in one run or several, with people; None if nobody labelled an answer.

    Args:
        splits: the split in each run.
        answered: each answer, with the number of its run.
        ratings: (answers, judges), the code of each label.
        cluster: of each answer.
        judges: in the order of the columns.
        labels: by code.
    """
    persons = {judge for split in splits for judge in split.people}
    columns = {judge: ratings[:, at] for at, judge in enumerate(judges) if judge in persons}
    columns = {judge: codes for judge, codes in columns.items() if (codes != MISSING).any()}
    if not columns:
        return None
    frames = _Frames(splits, answered)
    skips = {
        judge: np.array([each.states.get(judge) == SKIPPED for _, each in answered], dtype=bool) for judge in columns
    }

    def compare(judge: Ints, reference: Ints, sample: _Sample, *, person: bool = False) -> ReferenceAccuracy:
        truth = np.where(sample.labelled, reference, MISSING)
        return _compare(judge, truth, sample, cluster, classes=len(labels), person=person)

    def select(*groups: Sequence[str]) -> _Sample:
        return frames.select([_gather([columns[p] for p in group], [skips[p] for p in group]) for group in groups])

    together = select(tuple(columns))
    truth = find_majority_codes(list(columns.values()), len(labels))
    references: dict[str, tuple[Ints, _Sample]] = {PEOPLE: (truth, together)}
    annotators: dict[str, Annotator] = {}
    for person, codes in columns.items():
        others = [each for each in columns if each != person]
        ceiling = None
        if others:
            references[person] = codes, select((person,))
            rest = find_majority_codes([columns[each] for each in others], len(labels))
            ceiling = compare(codes, rest, select((person,), others), person=True)
        given = np.unique(codes[codes != MISSING])
        count = int((codes != MISSING).sum())
        annotators[person] = Annotator(
            labels=count,
            skipped=int(skips[person].sum()),
            always=labels[int(given[0])] if len(given) == 1 and count >= LEAST_IN_CELL else "",
            against_others=ceiling,
        )
    somebody = np.stack([codes != MISSING for codes in columns.values()]).any(axis=0)
    return PeopleAgreement(
        annotators=annotators,
        labelled=int(somebody.sum()),
        tied=int((somebody & (truth == MISSING)).sum()),
        unused=together.unused,
        weighted=together.weighted,
        why=together.why,
        judges={
            judge: {name: compare(ratings[:, at], *each) for name, each in references.items()}
            for at, judge in enumerate(judges)
            if judge not in persons
        },
    )


def _compare(
    judge: Ints, truth: Ints, sample: _Sample, cluster: Ints, *, classes: int, person: bool
) -> ReferenceAccuracy:
    """One judge, or a `person`, against the labels that count."""
    if sample.weighted:
        among = sample.population if person else sample.population & (judge != MISSING)
        accuracy = measure_drawn(judge, truth, cluster, sample.cell, among, classes=classes)
    else:
        accuracy = measure_given(judge, truth, cluster, classes=classes)
    unscored = int(((truth != MISSING) & (judge == MISSING)).sum())
    return ReferenceAccuracy(accuracy=accuracy, unscored=unscored, weighted=sample.weighted)


def find_majority_codes(votes: Sequence[Ints], classes: int) -> Ints:
    """The code that most give each answer; MISSING where nobody gives one, or as many give another."""
    counts = np.stack([sum((codes == code).astype(np.int64) for codes in votes) for code in range(classes)], axis=1)
    most = counts.max(axis=1, initial=0)
    alone = (counts == most[:, None]).sum(axis=1) == 1
    return np.where((most > 0) & alone, counts.argmax(axis=1), MISSING)


def _gather(codes: Sequence[Ints], skips: Sequence[Bools]) -> tuple[Bools, Bools]:
    """Which answers some people have labelled, and which they have skipped and nobody has labelled."""
    labelled = np.asarray(np.stack([each != MISSING for each in codes]).any(axis=0))
    return labelled, np.asarray(np.stack(skips).any(axis=0) & ~labelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    """The labelled answers that count, and what they stand for; all arrays are over the answers.

    Attributes:
        labelled: whose labels count.
        population: for which they stand; the labelled ones themselves where nothing was drawn.
        cell: number of each answer's cell.
        weighted: some were drawn.
        unused: labels that do not count.
        why: why all or some were not drawn; empty if all were.
    """

    labelled: Bools
    population: Bools
    cell: Ints
    weighted: bool
    unused: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One split of one run.

    Attributes:
        rows: its answers.
        frame: its answers in the order of its draw; None if it has none that can be used.
        cell: number of each answer's cell.
        row_of: item -> row.
        why: why nothing can be said of more than the labelled answers; empty where it can.
    """

    rows: Ints
    frame: DrawnFrame | None
    cell: Ints
    row_of: Mapping[str, int]
    why: str


class _Frames:
    """The recorded draws of a split in one run or several, and their cells."""

    def __init__(self, splits: Sequence[JudgedSplit], answered: Sequence[tuple[int, JudgedRecord]]) -> None:
        self._size = len(answered)
        self._parts: list[_Part] = []
        rows: dict[tuple[int, str], list[int]] = {}
        for row, (run, each) in enumerate(answered):
            rows.setdefault((run, each.record.split), []).append(row)
        numbers = 0
        for (run, split), own in rows.items():
            draw = splits[run].draws.get(split)
            framed = [frame for row in own if (frame := answered[row][1].framed) is not None]
            why, ordered = "", None
            if draw is None or len(framed) < len(own):
                why = "the answers that people label were not drawn (harness label draws them)"
            elif (ordered := draw.order_frame(framed)) is None:
                why = f"answers or labels of {draw.judge} have changed since the draw (harness label draws again)"
            codes = {name: code for code, name in enumerate(ordered.cells)} if ordered is not None else {}
            cell = [codes[frame.cell] for frame in framed] if codes else [0] * len(own)
            self._parts.append(
                _Part(
                    rows=np.array(own, dtype=np.int64),
                    frame=ordered,
                    cell=np.array(cell, dtype=np.int64) + numbers,
                    row_of={frame.item: row for row, frame in zip(own, framed, strict=True)} if codes else {},
                    why=why,
                )
            )
            numbers += max(len(codes), 1)

    def select(self, groups: Sequence[tuple[Bools, Bools]]) -> _Sample:
        """The answers that each group has labelled.

        Args:
            groups: which answers each has labelled, and which skipped.
        """
        together = np.asarray(np.stack([labelled for labelled, _ in groups]).all(axis=0))
        counts, population = np.zeros(self._size, dtype=bool), np.zeros(self._size, dtype=bool)
        cell = np.zeros(self._size, dtype=np.int64)
        weighted, unused, reasons = False, 0, dict[str, None]()
        for part in self._parts:
            own = part.rows[together[part.rows]]
            cell[part.rows] = part.cell
            if not len(own):
                continue
            usable = _find_usable(part, part.frame, groups) if part.frame else np.zeros(0, dtype=np.int64)
            if len(usable):
                population[part.rows] = counts[usable] = True
                weighted, unused = True, unused + len(own) - len(usable)
                continue
            population[own] = counts[own] = True
            if len(own) < len(part.rows):
                reasons[part.why or "no label is one of the first of the draw"] = None
        return _Sample(
            labelled=counts,
            population=population,
            cell=cell,
            weighted=weighted,
            unused=unused,
            why="; ".join(reasons),
        )


def _find_usable(part: _Part, frame: DrawnFrame, groups: Sequence[tuple[Bools, Bools]]) -> Ints:
    usable = set(part.row_of)
    for labelled, skipped in groups:
        names = ({item for item, row in part.row_of.items() if mask[row]} for mask in (labelled, skipped))
        usable &= frame.find_usable(*names)
    return np.array(sorted(part.row_of[item] for item in usable), dtype=np.int64)


def list_figures(found: JudgeAccuracy, code: int) -> Mapping[str, Agreement]:
    """The figures of one label by name, each from 0 to 1."""
    label = found.labels[code]
    return {
        "sensitivity": label.recall,
        "specificity": label.specificity,
        "precision": label.precision,
        "f1": label.f1,
        "judge_share": found.judge_shares[code],
        "people_share": found.people_shares[code],
    }
