"""The two numbers of each model in a scatter: a suite's mean, or the mean over the splits that all models share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import sqrt
from operator import attrgetter
from statistics import fmean
from typing import Final

from harness.board.leaderboard import Board
from harness.board.rows import Row
from harness.board.suites import Mean

from . import readings
from .readings import TOPICS, Key, Kind, Reading, shorten

_LISTED: Final = 8  #: splits named at an axis's caption; more are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one model; `open` if unranked."""

    row: Row
    reading: Reading
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One number of several models.

    Attributes:
        name: what was measured, short: `mis:test`, `mean of 5 splits`, `suite general`.
        told: the same in full, with its n.
        points: model -> its point.
    """

    name: str
    told: str
    points: Mapping[Key, Point]

    @property
    def head(self) -> str:
        """The metric, which all points share: `ASR % ↓`."""
        return next(iter(self.points.values())).reading.head


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One model in a scatter; `open` if one of its two numbers is unranked."""

    row: Row
    x: Reading
    y: Reading
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sides with the models that have a number on both, best first, and the names of those that lack one."""

    x: Side
    y: Side
    spots: Sequence[Spot]
    lacking: Sequence[str]


def pair_sides(boards: Sequence[Board], means: Sequence[Mean], across: Kind, up: Kind) -> Pair | None:
    """The pair of two kinds of numbers; None if fewer than two models have both."""
    boards = readings.select_primary_boards(boards)
    given = {kind: _list_sides(boards, kind) for kind in (across, up)}
    # of each kind, the suite whose means cover most models
    suites = {
        kind: max(_list_suites(means, boards, kind), key=lambda side: len(side.points), default=None)
        for kind in (across, up)
    }
    every = {key: row for kind in (across, up) for side in given[kind] for key, row in _rows(side).items()}
    every |= {key: row for suite in suites.values() if suite is not None for key, row in _rows(suite).items()}
    having: list[set[Key]] = []  # models with a number of each kind
    for kind in (across, up):
        suite = suites[kind]
        having.append({key for side in (given[kind] if suite is None else [suite]) for key in side.points})
    models: set[Key] = having[0] & having[1]
    found: dict[Kind, Side] = {}
    for kind in (across, up):
        suite = suites[kind]
        if suite is not None:
            found[kind] = suite
            continue
        sides = given[kind]
        if not sides or not models:
            return None
        if not any(models <= side.points.keys() for side in sides):  # no split has them all: the one with most of them
            most = max(sides, key=lambda side: sum(key in side.points for key in models))
            models = {key for key in models if key in most.points}
        found[kind] = _average([side for side in sides if models <= side.points.keys()], models)
    spots = [
        Spot(
            row=found[up].points[key].row,
            x=found[across].points[key].reading,
            y=found[up].points[key].reading,
            open=found[across].points[key].open or found[up].points[key].open,
        )
        for key in every
        if key in models and key in found[across].points and key in found[up].points
    ]
    if len(spots) < 2:
        return None
    turn = -1 if spots[0].x.better == "higher" else 1
    spots.sort(key=lambda spot: spot.y.value + turn * spot.x.value)
    drawn = {readings.identify(spot.row) for spot in spots}
    lacking = [row.model for key, row in every.items() if key not in drawn]
    return Pair(x=found[across], y=found[up], spots=spots, lacking=lacking)


def _rows(side: Side) -> Mapping[Key, Row]:
    return {key: point.row for key, point in side.points.items()}


def _list_sides(boards: Sequence[Board], kind: Kind) -> list[Side]:
    """The boards with numbers of this kind."""
    sides: list[Side] = []
    for board in boards:
        read = [(row, found) for row in board.rows if (found := readings.read_kind(row, kind)) is not None]
        if read:
            points = {
                readings.identify(row): Point(row=row, reading=found, open=bool(row.unranked)) for row, found in read
            }
            name, head = readings.format_board(board), read[0][1].head
            sizes = readings.format_sizes(found.n for _, found in read)
            sides.append(Side(name=name, told=f"{head} on {name}, {sizes}".removesuffix(", "), points=points))
    return sides


def _average(sides: Sequence[Side], models: set[Key]) -> Side:
    """The unweighted mean over the sides, for models that have them all; one side is itself."""
    points: dict[Key, Point] = {}
    if len(sides) == 1:
        points = {key: point for key, point in sides[0].points.items() if key in models}
        return replace(sides[0], points=points)
    for key in sides[0].points:
        if key in models:
            parts = [side.points[key] for side in sides]
            given = [part.reading for part in parts]
            row = parts[0].row
            points[key] = Point(row=row, reading=average_readings(given), open=any(part.open for part in parts))
    named = "; ".join(side.told for side in sides[:_LISTED])
    rest = len(sides) - _LISTED
    told = f"the mean over the {len(sides)} splits that all these models share: {named}"
    return Side(
        name=f"mean of {len(sides)} splits", told=f"{told} and {rest} more" if rest > 0 else told, points=points
    )


def average_readings(given: Sequence[Reading]) -> Reading:
    """The mean of independent numbers, with the interval that follows from theirs (MOVER)."""
    value, count = fmean(each.value for each in given), len(given)
    low = value - sqrt(sum((each.value - each.low) ** 2 for each in given)) / count
    high = value + sqrt(sum((each.high - each.value) ** 2 for each in given)) / count
    return Reading(
        label="mean",
        value=value,
        low=max(0.0, low),
        high=min(100.0, high),
        better=given[0].better,
        stretched=any(each.stretched for each in given),
    )


def _list_suites(means: Sequence[Mean], boards: Sequence[Board], kind: Kind) -> Iterator[Side]:
    """Each suite's means, for models whose ref names one row alone."""
    kinds: dict[str, Kind] = {}
    rows: dict[Key, Row] = {}
    for board in boards:
        for row in board.rows:
            rows.setdefault(readings.identify(row), row)
            for each in TOPICS.values():
                if readings.read_kind(row, each) is not None:
                    kinds.setdefault(f"{board.task}:{board.split}", each)
                    kinds.setdefault(board.title, each)
    refs = Counter(row.ref for row in rows.values())
    by_suite = attrgetter("suite")
    for suite, members in groupby(sorted(means, key=by_suite), key=by_suite):
        given = [mean for mean in members if mean.unit == "%" and mean.value is not None and mean.better is not None]
        if not given:
            continue
        about = {kinds[part] for part in (*given[0].of, *given[0].missing) if part in kinds}
        if about and about != {kind}:
            continue
        if not about and (kind != "ability" or given[0].better != "higher"):
            continue
        flipped = (given[0].better == "higher") != (kind == "ability")
        runs = Counter(mean.ref for mean in given)
        clear = {mean.ref: mean for mean in given if runs[mean.ref] == 1}
        points = {
            key: Point(row=row, reading=_read_mean(mean, flipped=flipped), open=not mean.complete)
            for key, row in rows.items()
            if refs[row.ref] == 1 and (mean := clear.get(row.ref)) is not None
        }
        if len(points) > 1:
            parts = ", ".join(shorten(part, 60) for part in given[0].of)
            told = f"the mean of suite {shorten(suite)} over {parts}"
            yield Side(name=f"suite {shorten(suite)}", told=told, points=points)


def _read_mean(mean: Mean, *, flipped: bool) -> Reading:
    value = 0.0 if mean.value is None else mean.value
    low, high = (value if end is None else end for end in mean.ci95_worst)
    better = str(mean.better)
    return Reading(
        label="100 \N{MINUS SIGN} mean" if flipped else "mean",
        value=100 - value if flipped else value,
        low=100 - high if flipped else low,
        high=100 - low if flipped else high,
        better={"lower": "higher", "higher": "lower"}[better] if flipped else better,
        stretched=mean.ci95 != mean.ci95_worst,
    )
