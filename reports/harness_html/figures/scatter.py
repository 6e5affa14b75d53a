"""Models as points with intervals on both axes, named beside the point or, where that is too crowded, by a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import atan2, ceil, degrees, dist, floor
from typing import Any, Final

from . import labels, told
from .kinds import Reading
from .names import apart, shown
from .pairs import Pair, Spot
from .plots import Spec, axis, layer, number, own, plot, word
from .theme import LIGHT

SIZE: Final = 400  #: px, of the square
_LINE: Final = 13.0  #: px, from line to line of the key
_SPACE: Final = 2 * "\N{NO-BREAK SPACE}"
Ends = tuple[float, float]
Place = tuple[float, float]  #: in pixels, y downwards
Line = tuple[Place, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Both axes: what they are called and their ends."""

    x_title: str
    y_title: str
    x_ends: Ends
    y_ends: Ends

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point in pixels, y downwards."""
        (left, right), (low, high) = self.x_ends, self.y_ends
        return SIZE * (x - left) / (right - left), SIZE * (high - y) / (high - low)

    def back(self, across: float, down: float) -> tuple[float, float]:
        """The values at a place in pixels, which may lie outside the square."""
        (left, right), (low, high) = self.x_ends, self.y_ends
        return left + (right - left) * across / SIZE, high - (high - low) * down / SIZE

    def x(self, field: str) -> Spec:
        """The channel of a field on the x axis."""
        return axis(field, self.x_title, self.x_ends)

    def y(self, field: str) -> Spec:
        """The channel of a field on the y axis."""
        return axis(field, self.y_title, self.y_ends)


def ends(readings: Sequence[Reading], *, zero: bool) -> Ends:
    """Ends of an axis of percent, on tens and at least 20 apart; from 0 where `zero`."""
    high = min(100, 10 * ceil(max(each.high for each in readings) / 10))
    low = 0 if zero else min(high - 20, 10 * floor(min(each.low for each in readings) / 10))
    low = max(0, low)
    return float(low), float(max(high, low + 20))


def read_as(pair: Pair) -> tuple[str, ...]:
    """How the marks of a pair's scatter are to be read, and what was left out; clauses of a caption."""
    open_spots = sum(spot.open for spot in pair.spots)
    return (
        told.intervals(reading for spot in pair.spots for reading in (spot.x, spot.y)),
        f"hollow and grey: on one axis a subset or incomplete ({open_spots})" if open_spots else "",
        told.more(len(pair.spots), pair.there),
    )


def scatter(plane: Plane, spots: Sequence[Spot], under: Sequence[Spec] = (), lines: Sequence[Line] = ()) -> Spec:
    """The points with their intervals and names.

    Args:
        plane: the axes.
        spots: the models, best first.
        under: drawn first, on the same axes.
        lines: arrows, in pixels; no name covers one.
    """
    behind, before = _names(plane, spots, lines)
    parts = (*under, behind, *_arrows(plane, lines), *_points(plane, spots), before)
    return layer(*parts, width=SIZE, height=SIZE)


def _points(plane: Plane, spots: Sequence[Spot]) -> Iterator[Spec]:
    data = [_datum(spot) for spot in spots]
    line, dot = {"type": "rule", "strokeWidth": 1}, {"type": "point", "size": 52, "strokeWidth": 1.5, "opacity": 1}
    x, y, colour = plane.x("x"), plane.y("y"), own("colour")
    yield plot(data, line, x=plane.x("x_low"), x2={"field": "x_high"}, y=y, color=colour)
    yield plot(data, line, x=x, y=plane.y("y_low"), y2={"field": "y_high"}, color=colour)
    yield plot(data, dot, x=x, y=y, stroke=colour, fill=own("fill"))


def _arrows(plane: Plane, lines: Sequence[Line]) -> Iterator[Spec]:
    """Each line ends in a triangle."""
    data = [
        {
            **dict(zip(("x", "y"), plane.back(*start), strict=True)),
            **dict(zip(("x2", "y2"), plane.back(*end), strict=True)),
            "turn": degrees(atan2(end[0] - start[0], start[1] - end[1])),
        }
        for start, end in lines
    ]
    if data:
        rule = {"type": "rule", "strokeWidth": 1.6, "color": LIGHT.series[1]}
        head = {
            "type": "point",
            "shape": "triangle",
            "size": 70,
            "filled": True,
            "opacity": 1,
            "color": LIGHT.series[1],
        }
        yield plot(data, rule, x=plane.x("x"), y=plane.y("y"), x2={"field": "x2"}, y2={"field": "y2"})
        yield plot(data, head, x=plane.x("x2"), y=plane.y("y2"), angle=number("turn", scale=None))


def _datum(spot: Spot) -> Mapping[str, Any]:
    return {
        "x": spot.x.value,
        "x_low": spot.x.low,
        "x_high": spot.x.high,
        "y": spot.y.value,
        "y_low": spot.y.low,
        "y_high": spot.y.high,
        "colour": LIGHT.faint if spot.open else LIGHT.series[0],
        "fill": LIGHT.ground if spot.open else LIGHT.series[0],
    }


def _names(plane: Plane, spots: Sequence[Spot], lines: Sequence[Line]) -> tuple[Spec, Spec]:
    """What lies behind the points and what before them: full names, or numbers with a key at the right."""
    names = apart(spot.row.model for spot in spots)
    marks = [_mark(plane, spot) for spot in spots]
    others = [labels.dot(*place) for line in lines for place in _along(*line)]
    placed = labels.named(marks, [shown(name, 36) for name in names], SIZE, others)
    if placed:
        return halo(plane, placed), texts(plane, placed)
    numbers = labels.numbered(marks, SIZE, others)
    key = [
        labels.Placed(text=_SPACE.join((number.text, name)), x=SIZE + 24.0, y=8 + _LINE * line)
        for line, (number, name) in enumerate(zip(numbers, names, strict=True))
    ]
    return halo(plane, numbers), texts(plane, [*numbers, *key])


def _mark(plane: Plane, spot: Spot) -> labels.Mark:
    x, y = plane.at(spot.x.value, spot.y.value)
    left, bottom = plane.at(spot.x.low, spot.y.low)
    right, top = plane.at(spot.x.high, spot.y.high)
    return labels.Mark(x=x, y=y, left=left, right=right, top=top, bottom=bottom)


def _along(start: Place, end: Place) -> Iterator[Place]:
    """Places on a line, some pixels apart."""
    steps = max(1, round(dist(start, end) / 6))
    for step in range(steps + 1):
        part = step / steps
        yield start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def texts(plane: Plane, placed: Sequence[labels.Placed], colour: str = LIGHT.ink) -> Spec:
    """Texts at pixels, left middle."""
    return _text(plane, placed, color=colour)


def halo(plane: Plane, placed: Sequence[labels.Placed]) -> Spec:
    """The ground around texts, so that they stay readable on lines that were drawn before."""
    return _text(plane, placed, color=LIGHT.ground, stroke=LIGHT.ground, strokeWidth=3)


def _text(plane: Plane, placed: Sequence[labels.Placed], **mark: Any) -> Spec:
    spots = ((plane.back(label.x, label.y), label.text) for label in placed)
    data = [{"x": x, "y": y, "text": text} for (x, y), text in spots]
    return plot(data, {"type": "text", "align": "left", **mark}, x=plane.x("x"), y=plane.y("y"), text=word("text"))
