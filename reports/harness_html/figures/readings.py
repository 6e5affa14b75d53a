"""The numbers that figures draw, and the words of captions: safe short names, and clauses.

A metric's name and direction decide its kind. No benchmark is named here: a task whose metrics have these names gets
the figures of safety against over-refusal and against ability.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from harness.board.display import format_head, format_interval, format_value
from harness.board.leaderboard import Board
from harness.board.rows import Measure, Row
from harness.text import one_line

Kind = Literal["unsafe", "over_refusal", "ability"]
T = TypeVar("T")
Key = tuple[str, ...]  #: identifies models or settings

MOST: Final = 100  #: models in one figure
AT_AXIS: Final = 44  #: characters of a name at an axis
IN_TABLE: Final = 300  #: characters of a name in a table
_NOT_IN_XML: Final[Mapping[int, None]] = {0xFFFE: None, 0xFFFF: None}

#: (metric, direction) -> its kind, and whether to draw 100 minus it; the first in a row counts
KINDS: Final[Mapping[tuple[str, str], tuple[Kind, bool]]] = {
    ("ASR", "lower"): ("unsafe", False),
    ("safe_rate", "higher"): ("unsafe", True),
    ("unsafe_acc", "higher"): ("unsafe", True),
    ("refusal_rate", "higher"): ("unsafe", True),
    ("refusal_rate", "lower"): ("over_refusal", False),
    ("answered_rate", "higher"): ("over_refusal", True),
    ("safe_acc", "higher"): ("over_refusal", True),
    ("accuracy", "higher"): ("ability", False),
    ("aAcc", "higher"): ("ability", False),
}

#: what a split asks about -> the kind of its main number
TOPICS: Final[Mapping[str, Kind]] = {"safety": "unsafe", "over-refusal": "over_refusal", "ability": "ability"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One drawn number of one row.

    Attributes:
        label: the metric: `ASR`, or `100 - safe_rate` if flipped.
        value: the drawn value.
        low: low end of its interval; the value itself without an interval.
        high: the other end.
        unit: unit of the metric.
        better: direction of the drawn value.
        stretched: whether the interval is the worst case over unresolved records.
        n: records behind it, including unresolved; 0 if unknown.
        runs: of a mean over seeds, the value of each run.
        counts: `12 of 15`, what it counts of what it divides by; empty where these are no whole numbers.
    """

    label: str
    value: float
    low: float
    high: float
    unit: str = "%"
    better: str = "lower"
    stretched: bool = False
    n: int = 0
    runs: tuple[float, ...] = ()
    counts: str = ""

    @property
    def table_text(self) -> str:
        """The same with what it counts: `80.3 [78.3, 82.1], 1,755 of 2,185`."""
        return f"{self.text}, {self.counts}" if self.counts else self.text

    @property
    def text(self) -> str:
        """`80.3 [78.3, 82.1]`; without brackets if there is no interval."""
        interval = format_interval((self.low, self.high), self.unit) if self.high > self.low else ""
        return f"{format_value(self.value, self.unit)} {interval}".rstrip()

    @property
    def head(self) -> str:
        """The metric with unit and direction, the title of an axis or a column: `ASR % ↓`."""
        return format_head(shorten(self.label), self.unit, self.better)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model in a figure of one board; its name is unique in the figure."""

    name: str
    row: Row
    reading: Reading


def read_measure(measure: Measure | None, *, flipped: bool = False) -> Reading | None:
    """A measure for drawing; `flipped` draws 100 minus it. None without a value."""
    if measure is None or measure.value is None:
        return None
    stretched = bool(measure.unresolved) and None not in measure.ci95_worst
    ends = measure.ci95_worst if stretched else measure.ci95
    low, high = (measure.value if end is None else end for end in ends)
    opposite = {"lower": "higher", "higher": "lower"}
    return Reading(
        label=f"100 \N{MINUS SIGN} {measure.name}" if flipped else measure.name,
        value=100 - measure.value if flipped else measure.value,
        low=100 - high if flipped else low,
        high=100 - low if flipped else high,
        unit=measure.unit,
        better=opposite[measure.better] if flipped else measure.better,
        stretched=stretched,
        n=round((measure.denominator or 0) + measure.unresolved),
        runs=tuple(100 - each if flipped else each for each in measure.by_seed),
        counts=format_counts(measure, flipped=flipped),
    )


def format_counts(measure: Measure, *, flipped: bool = False) -> str:
    """What a number counts, of what it divides by; empty if these are no whole numbers, as of a weighted sum."""
    hits, of = measure.numerator, measure.denominator
    if hits is None or of is None or hits != int(hits) or of != int(of):
        return ""
    return f"{int(of - hits if flipped else hits):,} of {int(of):,}"


def read_corrected(row: Row) -> Reading | None:
    """What people's labels say of the row's main number; None where they give none."""
    main = row.main
    if main is None or main.corrected is None or main.corrected.value is None:
        return None
    found, value = main.corrected, main.corrected.value
    low, high = (value if end is None else end for end in found.ci95)
    return Reading(
        label=f"{main.name} by people", value=value, low=low, high=high, unit=main.unit, better=main.better, n=found.of
    )


def read_kind(row: Row, kind: Kind) -> Reading | None:
    """The row's number of this kind, in percent; None if missing.

    A metric of a known name counts first. Else a split that says what it asks about counts by its main number.
    """
    given = {(measure.name, measure.better): measure for measure in row.measures if measure.unit == "%"}
    for key, (meant, flipped) in KINDS.items():
        if meant == kind and key in given:
            return read_measure(given[key], flipped=flipped)
    if TOPICS.get(row.topic) != kind or row.main is None or row.main.unit != "%" or row.main.better == "neither":
        return None
    return read_measure(row.main, flipped=(row.main.better == "higher") != (kind == "ability"))


def list_entries(board: Board) -> tuple[Entry, ...]:
    """The board's rows that have a main number, best first."""
    read = [(row, found) for row in board.rows if (found := read_measure(row.main)) is not None]
    names = make_distinct(row.model for row, _ in read)
    return tuple(Entry(name=name, row=row, reading=found) for name, (row, found) in zip(names, read, strict=True))


def identify(row: Row) -> Key:
    """The identity of a row's model, the same on all boards; its shown name may differ."""
    return row.ref, row.strategy, row.attack, row.options.get("identity", ""), row.options.get("seed", "")


def list_basis(row: Row, without: frozenset[str]) -> Key:
    """The row's basis of comparison, without some of its names."""
    return tuple(f"{name} {value}" for name, value in sorted(row.basis.items()) if name not in without)


def select_whole_boards(boards: Sequence[Board]) -> tuple[Board, ...]:
    """The boards that are not part of another."""
    return tuple(board for board in boards if not board.part_of)


def select_primary_boards(boards: Sequence[Board]) -> tuple[Board, ...]:
    """The whole boards with results of a primary judge; a separate figure shows other judges."""
    return tuple(board for board in select_whole_boards(boards) if any(row.primary for row in board.rows))


def find_ends(readings: Iterable[Reading]) -> tuple[float, float]:
    """The ends of an axis: the whole range for percent and for shares of 1, else that of the readings."""
    given = list(readings)
    units = {each.unit for each in given}
    if units <= {"%", "0-1"}:
        return (0.0, 100.0) if units == {"%"} else (0.0, 1.0)
    low, high = min(each.low for each in given), max(each.high for each in given)
    room = (high - low or 1.0) * 0.05
    return low - room, high + room


def describe_intervals(readings: Iterable[Reading]) -> str:
    """What the lines of a figure are, and how many are widened by unresolved records; empty without lines."""
    given = [each for each in readings if each.high > each.low]
    if not given:
        return ""
    stretched = sum(each.stretched for each in given)
    if not stretched:
        return "lines are 95% intervals"
    whose = "all" if stretched == len(given) else f"{stretched} of {len(given)}"
    return f"lines are 95% intervals, in {whose} of them the worst case over what is unresolved"


def shorten(name: str, width: int = AT_AXIS) -> str:
    """A name on one line; a long one loses its middle, since names of one family differ at their ends."""
    line = one_line(name.translate(_NOT_IN_XML), 10_000) or "(no name)"
    if len(line) <= width:
        return line
    tail = width // 3
    return f"{line[: width - tail - 1].rstrip()}…{line[-tail:].lstrip()}"


def make_distinct(names: Iterable[str], width: int = AT_AXIS) -> list[str]:
    """The shortened names, numbered if two are equal: an axis holds each name once."""
    seen: Counter[str] = Counter()
    distinct: list[str] = []
    for name in (shorten(each, width) for each in names):
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ·{seen[name]}")
    return distinct


def make_slug(*parts: str) -> str:
    """A file name of some parts: `forest-mis-test`."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:80].strip("-")


def join_clauses(first: str, *clauses: str) -> str:
    """One sentence of clauses; empty ones are left out."""
    return f"{'; '.join([first, *filter(None, clauses)])}."


def format_board(board: Board) -> str:
    """A board's name as captions and titles spell it."""
    return shorten(board.name, 60)


def format_count(number: int, noun: str) -> str:
    """`1 model`, `12 models`, `3 categories`."""
    several = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else several}"


def format_sizes(numbers: Iterable[int]) -> str:
    """`n 2,185`, or from the fewest to the most; empty if there is none."""
    found = sorted(set(numbers))
    if not found:
        return ""
    return f"n {found[0]:,}" if len(found) == 1 else f"n {found[0]:,} to {found[-1]:,}"


def describe_runs(readings: Iterable[Reading]) -> str:
    """What the ticks at a mean over seeds are; empty without such a mean."""
    return "small ticks are the runs of a mean over seeds" if any(each.runs for each in readings) else ""


def describe_direction(better: str) -> str:
    """`lower is better`; empty if neither is."""
    return "" if better == "neither" else f"{better} is better"


def describe_judges(rows: Sequence[Row]) -> str:
    """Who judged the rows; empty if no judge did."""
    judges = dict.fromkeys(row.judge.told for row in rows if row.judge.id)
    return f"judged by {', '.join(shorten(told, 160) for told in judges)}" if judges else ""


def describe_unranked(rows: Sequence[Row], how: str = "hollow") -> str:
    """How unranked rows are drawn; empty if all are ranked."""
    number = sum(bool(row.unranked) for row in rows)
    return f"{how}: not ranked, a subset or incomplete ({number})" if number else ""


def describe_people(rows: Sequence[Row]) -> str:
    """How numbers by people are drawn, and how many models have one; empty if none has."""
    number = sum(read_corrected(row) is not None for row in rows)
    if not number:
        return ""
    whose = "" if number == len(rows) else f", of {format_count(number, 'model')}"
    return f"diamonds below are what people's labels say, with 95% intervals{whose}; order and ranks are the judge's"


def choose(items: Sequence[T]) -> Sequence[T]:
    """All items; of more than `MOST` as many as are drawn, evenly over their order, the first and the last included."""
    if len(items) <= MOST:
        return items
    return [items[round(place * (len(items) - 1) / (MOST - 1))] for place in range(MOST)]


def describe_choice(drawn: int, there: int, noun: str = "model") -> str:
    """Which rule chose what is drawn; empty if all is."""
    if drawn >= there:
        return ""
    return (
        f"{drawn} of {format_count(there, noun)} are drawn, taken evenly from the best to the worst, these two included"
    )


def describe_rest(drawn: int, there: int, noun: str = "model") -> str:
    """What the figure leaves out: `and 20 more models not drawn`; empty for nothing."""
    return f"and {format_count(there - drawn, f'more {noun}')} not drawn" if there > drawn else ""
