"""The tables of the page: heads, lines and cells, with each interval as a small drawing.

Nothing is HTML yet: the templates escape all text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.board.corrected import count_things
from harness.board.display import ARROWS, NOTHING, format_interval, format_value
from harness.board.leaderboard import Board, find_standing
from harness.board.rows import Ends, Measure, Row
from harness.text import one_line

from .figures.readings import format_counts
from .terms import Glossary, TaskNote

_WIDTH: Final = 100.0  #: width of a whisker, in its own units
_LEAST: Final = 1.5  #: least length of its line, so that a point is visible


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisker:
    """An interval as a small line in a table cell: positions of its parts, 0 to 100."""

    low: float
    high: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values at the left and right ends of the whiskers of one column."""

    left: float
    right: float

    @classmethod
    def of(cls, measures: Iterable[Measure]) -> Scale:
        """The whole range for percent and shares, else the column's range."""
        given = [measure for measure in measures if measure.value is not None]
        units = {measure.unit for measure in given}
        if units <= {"%", "0-1"}:
            return cls(left=0.0, right=100.0 if units == {"%"} else 1.0)
        own = [(*measure.ci95, measure.value) for measure in given]
        own += [(*each.ci95, each.value) for measure in given if (each := measure.corrected) is not None]
        ends = [end for numbers in own for end in numbers if end is not None]
        return cls(left=min(ends), right=max(ends))

    def draw(self, number: float | None, ends: Ends) -> Whisker | None:
        """A number with its interval; None without a number."""
        if number is None:
            return None
        low, high = (number if end is None else end for end in ends)
        left, right, value = self._place(low), self._place(high), self._place(number)
        if right - left < _LEAST:
            left, right = max(0.0, value - _LEAST / 2), value + _LEAST / 2
        return Whisker(low=left, high=right, value=value)

    def _place(self, value: float) -> float:
        width = self.right - self.left
        return round(_WIDTH * min(1.0, max(0.0, (value - self.left) / width)) if width else _WIDTH / 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleNumber:
    """What people's labels say of a number: shown value and interval, their drawing, and what they rest on."""

    text: str
    interval: str
    labels: str
    whisker: Whisker | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number.

    Attributes:
        text: the displayed value.
        interval: the displayed interval; empty for none.
        sort: the full value; None sorts last.
        whisker: its drawing; None for none.
        mark: `best`, `second` or nothing.
        note: why it has no rank; empty if ranked.
        main: whether it is its board's main number.
        why: why there is no value; empty if there is one.
        people: what people's labels say of it; None where they give no number.
        counts: `HITS of DIVIDED BY`, in whole numbers, and what is unresolved; empty where it is another kind of sum.
        row: in the overview, the row of a board that it is of.
    """

    text: str = NOTHING
    interval: str = ""
    sort: float | None = None
    whisker: Whisker | None = None
    mark: str = ""
    note: str = ""
    main: bool = False
    why: str = ""
    people: PeopleNumber | None = None
    counts: str = ""
    row: Row | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A column of numbers.

    Attributes:
        name: of the metric, or of the board in the overview.
        metric: the metric with its unit.
        arrow: its direction.
        term: anchor of its definition.
        anchor: of the board that it links to; empty for none.
        task: of that board.
        topic: what that board asks about.
        suite: the suite that the column stands under; empty for none.
        optional: whether a reader may hide the column.
    """

    name: str
    metric: str
    arrow: str
    term: str
    anchor: str = ""
    task: str = ""
    topic: str = ""
    suite: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGroup:
    """A head over several columns of the overview.

    Attributes:
        name: of the suite, or the topic.
        term: anchor of its definition.
        count: columns below it.
        suite: whether it is a suite's.
    """

    name: str
    term: str
    count: int
    suite: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A caution on a row: its kind, what it says there, and the anchor of its definition."""

    kind: str
    told: str
    term: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One run behind a mean over seeds: its name, its seed, its value in each column, and the viewer's name of it."""

    model: str
    seed: str
    values: Sequence[str]
    shown_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model.

    Attributes:
        model: its name.
        kind: `local weights` or `API`.
        cells: one per column.
        facts: the other columns of the row.
        flags: cautions on its numbers.
        unranked: why it has no rank; empty if ranked.
        rank: rank in its class; None if unranked, or the table has several classes.
        held_out: categories that its training left out.
        members: the runs that it is a mean of; empty for a single run.
        number: of the model in figures, by which a filter finds it there.
        look: its mark in figures, as a small drawing; empty where the table has no marks.
        shown_as: the viewer's name of its run; empty without a viewer, and for a mean over seeds.
        judge: id of the judge of its numbers; empty for none, or where they have several.
    """

    model: str
    kind: str
    cells: Sequence[Cell]
    facts: Sequence[str] = ()
    flags: Sequence[Flag] = ()
    unranked: str = ""
    rank: int | None = None
    held_out: Sequence[str] = ()
    members: Sequence[Member] = ()
    number: int = 0
    look: str = ""
    shown_as: str = ""
    judge: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Lines under heads.

    Attributes:
        heads: the columns of numbers.
        lines: one per model.
        facts: the columns after the numbers: (name, anchor of its definition).
        ranks: whether lines have ranks.
        groups: heads over columns of one suite or topic; empty for none.
        shared: facts that are the same in all lines: (name, anchor of its definition, text).
        flags: cautions that all lines have.
    """

    heads: Sequence[Head]
    lines: Sequence[Line]
    facts: Sequence[tuple[str, str]] = ()
    ranks: bool = False
    groups: Sequence[HeadGroup] = ()
    shared: Sequence[tuple[str, str, str]] = ()
    flags: Sequence[Flag] = ()


def build_head(name: str, measure: Measure, place: str, task: TaskNote, glossary: Glossary) -> Head:
    """The head of a metric's column; the glossary receives what the metric counts, and the place where it stands."""
    unit = " %" if measure.unit == "%" else ""
    definition = measure.definition or task.definitions.get(measure.name, "")
    term = glossary.metric(measure.name, definition, measure.unit, measure.better, place)
    return Head(name=name, metric=f"{measure.name}{unit}", arrow=ARROWS.get(measure.better, ""), term=term.anchor)


def build_cell(board: Board, row: Row, measure: Measure | None, scale: Scale | None) -> Cell:
    """A number of a row; the main one with its mark, or why it has no rank, and drawn where there is a scale."""
    if measure is None:
        return Cell()
    drawn = scale if measure.main else None
    counts = format_counts(measure)
    found = measure.corrected
    people = None
    if found is not None and found.value is not None:
        people = PeopleNumber(
            text=format_value(found.value, measure.unit),
            interval=format_interval(found.ci95, measure.unit),
            labels=count_things(found.labels, "label"),
            whisker=None if drawn is None else drawn.draw(found.value, found.ci95),
        )
    return Cell(
        text=format_value(measure.value, measure.unit),
        interval=format_interval(measure.ci95_worst, measure.unit),
        sort=measure.value,
        whisker=None if drawn is None else drawn.draw(measure.value, measure.ci95_worst),
        mark=find_standing(board, row) if measure.main else "",
        note=row.unranked if measure.main else "",
        main=measure.main,
        why=one_line(measure.why, 200),
        people=people,
        counts=f"{counts}, {measure.unresolved:g} unresolved" if counts and measure.unresolved else counts,
    )


def name_kind(row: Row) -> str:
    """What answered: `local weights` or `API`."""
    return "local weights" if row.local else "API"


def lift_flags(table: Table) -> Table:
    """The table with the flags that two or more lines all have said once, above it."""
    if len(table.lines) < 2:
        return table
    shared = [flag for flag in table.lines[0].flags if all(flag in line.flags for line in table.lines)]
    lines = [replace(line, flags=[flag for flag in line.flags if flag not in shared]) for line in table.lines]
    return replace(table, lines=lines, flags=shared)


def lift_facts(table: Table) -> Table:
    """The table with the facts that are the same in all lines said once, above it."""
    places = range(len(table.facts))
    same = [place for place in places if len({line.facts[place] for line in table.lines}) == 1]
    kept = [place for place in places if place not in same]
    return replace(
        table,
        facts=[table.facts[place] for place in kept],
        lines=[replace(line, facts=[line.facts[place] for place in kept]) for line in table.lines],
        shared=[(*table.facts[place], text) for place in same if (text := table.lines[0].facts[place])],
    )
