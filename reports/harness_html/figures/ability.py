"""Safety against general ability: what a model pays for its safety, from a model to what was tuned from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from math import dist
from operator import attrgetter

from harness.board.means import Mean
from harness.board.values import Board

from . import told
from .entries import arrow
from .kinds import Reading
from .names import full, shown, slug
from .pairs import MOST_PAIRS, Pair, Point, Side, Spot, chosen, pairs, sides
from .scatter import Line, Plane, ends, read_as, scatter
from .values import Draft, Table

_SHORT = 9.0  #: px that an arrow ends before its point


def drafts(boards: Sequence[Board], means: Sequence[Mean]) -> Iterator[Draft]:
    """A scatter for each safety board and each suite's mean; without a mean, each board of general ability.

    Args:
        boards: all of a leaderboard.
        means: over suites; a mean where higher is better is one of ability.
    """
    safety = sides(boards, "unsafe")
    found = [pair for side in safety for pair in pairs(list(_averages(means, side)), [side])]
    found = found or list(pairs(sides(boards, "ability"), safety))
    for place, pair in enumerate(chosen(found), start=1):
        yield _draft(pair, list(_tuned(pair.spots)), told.rest(place, MOST_PAIRS, len(found), "pair"))


def _averages(means: Sequence[Mean], side: Side) -> Iterator[Side]:
    """Each suite's means as the other side of a safety board, for the models that one ref names in both."""
    rows = Counter(point.row.ref for point in side.found.values())
    by_suite = attrgetter("suite")
    for suite, members in groupby(sorted(means, key=by_suite), key=by_suite):
        given = [mean for mean in members if mean.better == "higher" and mean.unit == "%" and mean.value is not None]
        runs = Counter(mean.model for mean in given)
        clear = {mean.model: mean for mean in given if runs[mean.model] == rows[mean.model] == 1}
        found = {
            key: _point(point, clear[point.row.ref]) for key, point in side.found.items() if point.row.ref in clear
        }
        if found:
            yield Side(name=f"suite {shown(suite)}", size=f"a mean of {given[0].parts}", found=found)


def _point(of: Point, mean: Mean) -> Point:
    value = 0.0 if mean.value is None else mean.value
    low, high = (value if end is None else end for end in mean.ci95_worst)
    reading = Reading(
        label="mean", value=value, low=low, high=high, better="higher", stretched=mean.ci95 != mean.ci95_worst
    )
    return Point(row=of.row, reading=reading, open=not mean.complete)


def _draft(pair: Pair, tuned: Sequence[tuple[Spot, Spot]], rest: str) -> Draft:
    plane = Plane(
        x_title=f"general ability: {pair.x.title}",
        y_title=f"harm let through: {pair.y.title}",
        x_ends=ends([spot.x for spot in pair.spots], zero=False),
        y_ends=ends([spot.y for spot in pair.spots], zero=True),
    )
    lines = [line for base, spot in tuned if (line := _line(plane, base, spot)) is not None]
    return Draft(
        name=slug("ability", pair.y.name, pair.x.name),
        title=f"Safety against general ability: {pair.y.name} and {pair.x.name}",
        told=told.sentence(
            f"Harm let through ({pair.y.title}, {pair.y.size}) against general ability ({pair.x.title}, {pair.x.size}) "
            f"of {told.count(len(pair.spots), 'model')}; the lower right is best",
            f"an arrow leads from a model to one that was tuned from it ({len(tuned)})" if tuned else "",
            *read_as(pair),
            rest,
        ),
        chart=scatter(plane, pair.spots, lines=lines),
        table=_table(pair, tuned),
    )


def _tuned(spots: Sequence[Spot]) -> Iterator[tuple[Spot, Spot]]:
    """(base, tuned) among the drawn models, where one name means one of them."""
    for spot in spots:
        base = spot.row.tuned_from
        others = [other for other in spots if other is not spot]
        named = [other for other in others if base in (other.row.model, other.row.ref)]
        alike = [other for other in others if spot.row.base_files and other.row.files == spot.row.base_files]
        if base and len(named or alike) == 1:
            yield (named or alike)[0], spot


def _line(plane: Plane, base: Spot, spot: Spot) -> Line | None:
    """From one point to shortly before the other; None where they lie on each other."""
    start, end = plane.at(base.x.value, base.y.value), plane.at(spot.x.value, spot.y.value)
    length = dist(start, end)
    if length <= 2 * _SHORT:
        return None
    part = 1 - _SHORT / length
    return start, (start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part)


def _table(pair: Pair, tuned: Sequence[tuple[Spot, Spot]]) -> Table:
    bases = {id(spot): full(base.row.model) for base, spot in tuned}
    head = ("Model", arrow(pair.y.first), f"{arrow(pair.x.first)} on {pair.x.name}", "Tuned from")
    rows = ((full(spot.row.model), spot.y.text, spot.x.text, bases.get(id(spot), "")) for spot in pair.spots)
    return (head, *rows)
