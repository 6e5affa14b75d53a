"""Two numbers of the same models as points with intervals: safety against over-refusal, and against general ability.

Each point has its name next to it or, if that is too crowded, a number with a key at the right. No name covers another:
each takes the first free place around its point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import atan2, ceil, degrees, dist, floor
from operator import attrgetter
from typing import Any, Final

from harness.board.leaderboard import Board, Mean
from harness.board.rows import Row

from . import charts, readings
from .charts import LIGHT, SMALL, WIDE, Draft, Spec
from .readings import IN_TABLE, Key, Kind, Reading, make_distinct, make_slug, shorten

SIZE: Final = 400  #: px, of the square
_FEWEST: Final = 2  #: least models for a scatter
_MOST_PAIRS: Final = 4  #: figures of one sort; those with most models first
_KEY_LINE: Final = 13.0  #: px, from line to line of the key
_KEY_SPACE: Final = 2 * "\N{NO-BREAK SPACE}"
_ARROW_GAP: Final = 9.0  #: px between an arrow's end and its point
_DOT: Final = 5.0  #: px, half of a point
_GAP: Final = 4.0  #: px from a point or its lines to its text
_HALF: Final = SMALL / 2 + 1  #: px, half of a text's height

Ends = tuple[float, float]
Place = tuple[float, float]  #: in pixels, y downwards
Line = tuple[Place, Place]


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
        name: the measured split: `mis:test`.
        size: sample sizes: `n 2,185`.
        points: model -> its point, best first; for several runs of one model the worst.
    """

    name: str
    size: str
    points: Mapping[Key, Point]

    @property
    def head(self) -> str:
        """The metric, which all points share: `ASR % ↓`."""
        return next(iter(self.points.values())).reading.head

    @property
    def title(self) -> str:
        """`ASR % ↓ on mis:test`."""
        return f"{self.head} on {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One model in a scatter; `open` if one of its two numbers is unranked."""

    row: Row
    x: Reading
    y: Reading
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sides with their shared models; `there` also counts undrawn ones."""

    x: Side
    y: Side
    spots: Sequence[Spot]
    there: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Both axes: their titles and ends."""

    x_title: str
    y_title: str
    x_ends: Ends
    y_ends: Ends

    def to_pixels(self, x: float, y: float) -> Place:
        """The place of two values."""
        (left, right), (low, high) = self.x_ends, self.y_ends
        return SIZE * (x - left) / (right - left), SIZE * (high - y) / (high - low)

    def to_values(self, across: float, down: float) -> tuple[float, float]:
        """The values at a place, which may be outside the square."""
        (left, right), (low, high) = self.x_ends, self.y_ends
        return left + (right - left) * across / SIZE, high - (high - low) * down / SIZE

    def x(self, field: str) -> Spec:
        """The channel of a field on the x axis."""
        return charts.axis(field, self.x_title, self.x_ends)

    def y(self, field: str) -> Spec:
        """The channel of a field on the y axis."""
        return charts.axis(field, self.y_title, self.y_ends)


def draft_tradeoffs(boards: Sequence[Board]) -> Iterator[Draft]:
    """A scatter per pair of a safety board and an over-refusal board with shared models."""
    pairs = _pair_sides(_list_sides(boards, "over_refusal"), _list_sides(boards, "unsafe"))
    for pair, more in _choose_pairs(pairs):
        both = _find_ends([reading for spot in pair.spots for reading in (spot.x, spot.y)], zero=True)
        plane = Plane(
            x_title=f"over-refusal: {pair.x.title}",
            y_title=f"harm let through: {pair.y.title}",
            x_ends=both,  # the same on both axes, so that the lines of equal error fall at 45 degrees
            y_ends=both,
        )
        lines = (
            (shorten(s.row.model, IN_TABLE), s.y.text, s.x.text, f"{(s.x.value + s.y.value) / 2:.1f}")
            for s in pair.spots
        )
        yield Draft(
            name=make_slug("tradeoff", pair.y.name, pair.x.name),
            title=f"Safety against over-refusal: {pair.y.name} and {pair.x.name}",
            caption=readings.join_clauses(
                f"Harm let through ({pair.y.title}, {pair.y.size}) against harmless requests refused "
                f"({pair.x.title}, {pair.x.size}) of {readings.format_count(len(pair.spots), 'model')}, both better "
                f"when lower",
                "along a dashed line the mean of the two, the balanced error, is equal: there one is traded for the "
                "other",
                *_describe_marks(pair),
                more,
            ),
            chart=_draw_scatter(plane, pair.spots, under=_draw_equal_errors(plane)),
            table=(("Model", pair.y.head, pair.x.head, "Balanced error %"), *lines),
        )


def draft_abilities(boards: Sequence[Board], means: Sequence[Mean]) -> Iterator[Draft]:
    """Safety against ability: a scatter per safety board and suite mean of ability.

    Without such a mean, each board of general ability replaces it.

    Args:
        boards: all boards of a leaderboard.
        means: means over suites; one where higher is better measures ability.
    """
    safety = _list_sides(boards, "unsafe")
    pairs = [pair for side in safety for pair in _pair_sides(list(_list_means(means, side)), [side])]
    for pair, more in _choose_pairs(pairs or _pair_sides(_list_sides(boards, "ability"), safety)):
        tuned = list(_find_tuned(pair.spots))
        plane = Plane(
            x_title=f"general ability: {pair.x.title}",
            y_title=f"harm let through: {pair.y.title}",
            x_ends=_find_ends([spot.x for spot in pair.spots], zero=False),
            y_ends=_find_ends([spot.y for spot in pair.spots], zero=True),
        )
        bases = {id(spot): shorten(base.row.model, IN_TABLE) for base, spot in tuned}
        lines = ((shorten(s.row.model, IN_TABLE), s.y.text, s.x.text, bases.get(id(s), "")) for s in pair.spots)
        yield Draft(
            name=make_slug("ability", pair.y.name, pair.x.name),
            title=f"Safety against general ability: {pair.y.name} and {pair.x.name}",
            caption=readings.join_clauses(
                f"Harm let through ({pair.y.title}, {pair.y.size}) against general ability ({pair.x.title}, "
                f"{pair.x.size}) of {readings.format_count(len(pair.spots), 'model')}; the lower right is best",
                f"an arrow leads from a model to one that was tuned from it ({len(tuned)})" if tuned else "",
                *_describe_marks(pair),
                more,
            ),
            chart=_draw_scatter(plane, pair.spots, arrows=_place_arrows(plane, tuned)),
            table=(("Model", pair.y.head, f"{pair.x.head} on {pair.x.name}", "Tuned from"), *lines),
        )


def _list_sides(boards: Sequence[Board], kind: Kind) -> list[Side]:
    """The boards with numbers of this kind, without parts of others."""
    sides: list[Side] = []
    for board in readings.select_primary_boards(boards):
        read = [(row, found) for row in board.rows if (found := readings.read_kind(row, kind)) is not None]
        if read:
            points = {
                readings.identify(row): Point(row=row, reading=found, open=bool(row.unranked)) for row, found in read
            }
            sizes = readings.format_sizes(found.n for _, found in read)
            sides.append(Side(name=readings.format_board(board), size=sizes, points=points))
    return sides


def _list_means(means: Sequence[Mean], side: Side) -> Iterator[Side]:
    """Each suite's means as the other side of a safety board, for models with a unique ref in both."""
    rows = Counter(point.row.ref for point in side.points.values())
    by_suite = attrgetter("suite")
    for suite, members in groupby(sorted(means, key=by_suite), key=by_suite):
        given = [mean for mean in members if mean.better == "higher" and mean.unit == "%" and mean.value is not None]
        runs = Counter(mean.model for mean in given)
        clear = {mean.model: mean for mean in given if runs[mean.model] == rows[mean.model] == 1}
        points = {
            key: Point(row=point.row, reading=_read_mean(mean), open=not mean.complete)
            for key, point in side.points.items()
            if (mean := clear.get(point.row.ref)) is not None
        }
        if points:
            yield Side(name=f"suite {shorten(suite)}", size=f"a mean of {given[0].parts}", points=points)


def _read_mean(mean: Mean) -> Reading:
    value = 0.0 if mean.value is None else mean.value
    low, high = (value if end is None else end for end in mean.ci95_worst)
    stretched = mean.ci95 != mean.ci95_worst
    return Reading(label="mean", value=value, low=low, high=high, better="higher", stretched=stretched)


def _pair_sides(xs: Sequence[Side], ys: Sequence[Side]) -> list[Pair]:
    """The pairs of sides that share models, in input order."""
    pairs: list[Pair] = []
    for y in ys:
        for x in xs:
            spots = [
                Spot(row=point.row, x=other.reading, y=point.reading, open=point.open or other.open)
                for key, point in y.points.items()
                if (other := x.points.get(key)) is not None
            ]
            if len(spots) >= _FEWEST:
                pairs.append(Pair(x=x, y=y, spots=spots[: readings.MOST], there=len(spots)))
    return pairs


def _choose_pairs(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, str]]:
    """Some of the pairs; the last has a clause on those left out.

    Pairs with many models come first, and each side appears before any repeats.
    """
    left, chosen = list(pairs), list[Pair]()
    many = max((pair.there for pair in pairs), default=0) / 2
    while left and len(chosen) < _MOST_PAIRS:
        used = Counter(side.name for pair in chosen for side in (pair.x, pair.y))
        best = min(left, key=lambda pair: (pair.there < many, used[pair.x.name] + used[pair.y.name], -pair.there))
        left.remove(best)
        chosen.append(best)
    for place, pair in enumerate(chosen, 1):
        yield pair, readings.describe_rest(_MOST_PAIRS, len(pairs), "pair") if place == _MOST_PAIRS else ""


def _find_ends(readings: Sequence[Reading], *, zero: bool) -> Ends:
    """Ends of a percent axis, on tens and at least 20 apart; from 0 if `zero`."""
    high = min(100, 10 * ceil(max(each.high for each in readings) / 10))
    low = 0 if zero else min(high - 20, 10 * floor(min(each.low for each in readings) / 10))
    low = max(0, low)
    return float(low), float(max(high, low + 20))


def _describe_marks(pair: Pair) -> tuple[str, ...]:
    """How to read the marks, and what is not drawn."""
    unranked = sum(spot.open for spot in pair.spots)
    return (
        readings.describe_intervals(reading for spot in pair.spots for reading in (spot.x, spot.y)),
        f"hollow and grey: on one axis a subset or incomplete ({unranked})" if unranked else "",
        readings.describe_rest(len(pair.spots), pair.there),
    )


def _find_tuned(spots: Sequence[Spot]) -> Iterator[tuple[Spot, Spot]]:
    """(base, tuned) among the drawn models, if a name is unique."""
    for spot in spots:
        base = spot.row.tuned_from
        others = [other for other in spots if other is not spot]
        named = [other for other in others if base in (other.row.model, other.row.ref)]
        alike = [other for other in others if spot.row.base_files and other.row.files == spot.row.base_files]
        if base and len(named or alike) == 1:
            yield (named or alike)[0], spot


def _place_arrows(plane: Plane, tuned: Sequence[tuple[Spot, Spot]]) -> list[Line]:
    """From each base to shortly before its tuned model; none if the two overlap."""
    arrows: list[Line] = []
    for base, spot in tuned:
        start = plane.to_pixels(base.x.value, base.y.value)
        end = plane.to_pixels(spot.x.value, spot.y.value)
        length = dist(start, end)
        if length > 2 * _ARROW_GAP:
            arrows.append((start, _go_along(start, end, 1 - _ARROW_GAP / length)))
    return arrows


def _go_along(start: Place, end: Place, part: float) -> Place:
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _draw_scatter(plane: Plane, spots: Sequence[Spot], under: Sequence[Spec] = (), arrows: Sequence[Line] = ()) -> Spec:
    """The points with their intervals and names.

    Args:
        plane: the axes.
        spots: the models, best first.
        under: layers drawn first, on the same axes.
        arrows: in pixels; no name covers them.
    """
    data = [
        {
            "x": spot.x.value,
            "x_low": spot.x.low,
            "x_high": spot.x.high,
            "y": spot.y.value,
            "y_low": spot.y.low,
            "y_high": spot.y.high,
            **charts.colour_dot(ranked=not spot.open),
        }
        for spot in spots
    ]
    line, dot = {"type": "rule", "strokeWidth": 1}, {"type": "point", "size": 52, "strokeWidth": 1.5, "opacity": 1}
    x, y, colour = plane.x("x"), plane.y("y"), charts.own_colour("colour")
    labels = _place_labels(plane, spots, arrows)
    near = [label for label in labels if label.x <= SIZE]  # all but the key
    parts = (
        *under,
        _draw_halo(plane, near),
        *_draw_arrows(plane, arrows),
        charts.plot(data, line, x=plane.x("x_low"), x2={"field": "x_high"}, y=y, color=colour),
        charts.plot(data, line, x=x, y=plane.y("y_low"), y2={"field": "y_high"}, color=colour),
        charts.plot(data, dot, x=x, y=y, stroke=colour, fill=charts.own_colour("fill")),
        _draw_texts(plane, labels),
    )
    return {"layer": list(parts), "width": SIZE, "height": SIZE}


def _place_labels(plane: Plane, spots: Sequence[Spot], arrows: Sequence[Line]) -> Sequence[Label]:
    """The names of the models; if they do not fit, numbers with a key right of the square."""
    names, marks = make_distinct(spot.row.model for spot in spots), list[Mark]()
    for spot in spots:
        x, y = plane.to_pixels(spot.x.value, spot.y.value)
        left, bottom = plane.to_pixels(spot.x.low, spot.y.low)
        right, top = plane.to_pixels(spot.x.high, spot.y.high)
        marks.append(Mark(x=x, y=y, left=left, right=right, top=top, bottom=bottom))
    taken: list[Box] = []
    for start, end in arrows:
        steps = max(1, round(dist(start, end) / 6))
        taken += [dot_box(*_go_along(start, end, step / steps)) for step in range(steps + 1)]
    placed = place_names(marks, [shorten(name, 36) for name in names], SIZE, taken)
    if placed:
        return placed
    numbers = place_numbers(marks, SIZE, taken)
    key = [
        Label(text=_KEY_SPACE.join((number.text, name)), x=SIZE + 24.0, y=8 + _KEY_LINE * line)
        for line, (number, name) in enumerate(zip(numbers, names, strict=True))
    ]
    return [*numbers, *key]


def _draw_arrows(plane: Plane, arrows: Sequence[Line]) -> Iterator[Spec]:
    """Each line ends in a triangle."""
    data: list[dict[str, float]] = []
    for start, end in arrows:
        (x, y), (x2, y2) = plane.to_values(*start), plane.to_values(*end)
        turn = degrees(atan2(end[0] - start[0], start[1] - end[1]))
        data.append({"x": x, "y": y, "x2": x2, "y2": y2, "turn": turn})
    if data:
        rule = {"type": "rule", "strokeWidth": 1.6, "color": LIGHT.series[1]}
        head = {"type": "point", "shape": "triangle", "size": 70, "filled": True, "opacity": 1}
        head |= {"color": LIGHT.series[1]}
        yield charts.plot(data, rule, x=plane.x("x"), y=plane.y("y"), x2={"field": "x2"}, y2={"field": "y2"})
        yield charts.plot(data, head, x=plane.x("x2"), y=plane.y("y2"), angle=charts.number("turn", scale=None))


def _draw_equal_errors(plane: Plane) -> list[Spec]:
    """Dashed lines x + y = 2 * error, each with its error at its lower end."""
    _, most = plane.x_ends
    step = 5 if most <= 50 else 10
    data: list[dict[str, float]] = []
    labels: list[Label] = []
    for error in range(step, int(most), step):
        x, x2 = max(0.0, 2.0 * error - most), min(most, 2.0 * error)
        data.append({"x": x, "y": 2 * error - x, "x2": x2, "y2": 2 * error - x2})
        across, down = plane.to_pixels(x2, x)
        inside = across < SIZE
        at = {"x": across - 10 if inside else across + 4, "y": down - 8 if inside else down}
        labels.append(Label(text=str(error), **at))
    legend = "dashed: equal balanced error, %"
    labels.append(Label(text=legend, x=SIZE - 5.2 * len(legend), y=-10))
    dashed = {"type": "rule", "strokeWidth": 1, "strokeDash": [3, 3], "color": LIGHT.faint}
    return [
        charts.plot(data, dashed, x=plane.x("x"), y=plane.y("y"), x2={"field": "x2"}, y2={"field": "y2"}),
        _draw_halo(plane, labels),
        _draw_texts(plane, labels, color=LIGHT.quiet),
    ]


def _draw_halo(plane: Plane, labels: Sequence[Label]) -> Spec:
    """A halo around texts, so that they stay readable over lines."""
    return _draw_texts(plane, labels, color=LIGHT.ground, stroke=LIGHT.ground, strokeWidth=3)


def _draw_texts(plane: Plane, labels: Sequence[Label], color: str = LIGHT.ink, **mark: Any) -> Spec:
    data: list[dict[str, str | float]] = []
    for label in labels:
        x, y = plane.to_values(label.x, label.y)
        data.append({"x": x, "y": y, "text": label.text})
    text = {"type": "text", "align": "left", "color": color, **mark}
    return charts.plot(data, text, x=plane.x("x"), y=plane.y("y"), text=charts.word("text"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in pixels, y downwards."""

    left: float
    right: float
    top: float
    bottom: float

    def covers(self, *others: Box) -> bool:
        """Whether it shares an area with one of the others."""
        return any(
            self.left < each.right and each.left < self.right and self.top < each.bottom and each.top < self.bottom
            for each in others
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text whose left middle is at (x, y)."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point in pixels with the ends of its lines, y downwards."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Its area: the point and both lines."""
        return (
            dot_box(self.x, self.y, _DOT),
            Box(left=self.left, right=self.right, top=self.y - 1, bottom=self.y + 1),
            Box(left=self.x - 1, right=self.x + 1, top=self.top, bottom=self.bottom),
        )


def dot_box(x: float, y: float, half: float = 2.0) -> Box:
    """A small square around a place."""
    return Box(left=x - half, right=x + half, top=y - half, bottom=y + half)


def place_names(
    marks: Sequence[Mark], texts: Sequence[str], size: float, others: Sequence[Box] = ()
) -> tuple[Label, ...]:
    """A free place for each text next to its mark; empty if one text has none.

    Args:
        marks: in a square of `size` pixels.
        texts: one per mark.
        size: size of the square, which no text leaves.
        others: other areas to keep free.
    """
    taken = [*(box for mark in marks for box in mark.boxes), *others]
    placed: list[Label] = []
    for mark, text in zip(marks, texts, strict=True):
        width = WIDE * len(text)
        tries = (*_beyond_lines(mark, width, _GAP), *_in_corners(mark, width, 1), *_beyond_lines(mark, width, 3 * _GAP))
        box = next((box for box in tries if _is_inside(box, size) and not box.covers(*taken)), None)
        if box is None:
            return ()
        taken.append(box)
        placed.append(Label(text=text, x=box.left, y=(box.top + box.bottom) / 2))
    return tuple(placed)


def place_numbers(marks: Sequence[Mark], size: float, others: Sequence[Box] = ()) -> tuple[Label, ...]:
    """The number of each mark, from 1, in a corner next to its point, on a line only if necessary."""
    points = [mark.boxes[0] for mark in marks]
    lines = [*(box for mark in marks for box in mark.boxes[1:]), *others]
    placed: list[Label] = []
    for mark, text in ((mark, str(place)) for place, mark in enumerate(marks, start=1)):
        width = WIDE * len(text)
        farther = (box for gap in (1, 3, 5, 7) for box in _in_corners(mark, width, gap * _GAP))
        tries = (*_in_corners(mark, width, 0), *_beyond_lines(mark, width, _GAP), *farther)
        inside = [box for box in tries if _is_inside(box, size)]
        clear = [box for box in inside if not box.covers(*points)]
        box = next(iter((*(box for box in clear[:4] if not box.covers(*lines)), *clear, *inside)))
        points.append(box)
        placed.append(Label(text=text, x=box.left, y=(box.top + box.bottom) / 2))
    return tuple(placed)


def _in_corners(mark: Mark, width: float, gap: float) -> Iterator[Box]:
    """Right above and below, left above and below the point, off its own lines."""
    for left in (mark.x + _DOT + gap, mark.x - _DOT - gap - width):
        for side in (-1, 1):
            yield _text_box(left, mark.y + side * (_HALF + 1 + gap), width)


def _beyond_lines(mark: Mark, width: float, gap: float) -> Iterator[Box]:
    """Past the ends of its lines: right, left, above, below."""
    yield _text_box(max(mark.right, mark.x + _DOT) + gap, mark.y, width)
    yield _text_box(min(mark.left, mark.x - _DOT) - gap - width, mark.y, width)
    yield _text_box(mark.x - width / 2, mark.top - gap - _HALF, width)
    yield _text_box(mark.x - width / 2, mark.bottom + gap + _HALF, width)


def _text_box(left: float, middle: float, width: float) -> Box:
    return Box(left=left, right=left + width, top=middle - _HALF, bottom=middle + _HALF)


def _is_inside(box: Box, size: float) -> bool:
    return min(box.left, box.top) >= 0 and max(box.right, box.bottom) <= size
