"""Places for the names of points, so that none lies on another name or on a point.

A name stands next to its point, or farther away with a line that leads to it. Where there is no place for a name it
gets a number instead, for which there is always one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import cos, hypot, pi, sin
from typing import Final, NamedTuple

_HALF: Final = 6.5  #: px, half of a text's height
_DOT: Final = 6.0  #: px, half of a point
_NEAR: Final = 10.0  #: px, from a point to a name that needs no line
_RADII: Final = (0.0, 7.0, 16.0, 28.0, 42.0, 58.0, 76.0, 98.0, 124.0)  #: px more
_FARTHEST: Final = 60.0  #: px more, of names where there are many
_MANY: Final = 24
_TURNS: Final = tuple(
    (cos(turn * pi / 8), sin(turn * pi / 8)) for turn in (0, 8, 12, 4, 15, 1, 9, 7, 14, 2, 10, 6, 13, 3, 11, 5)
)

Spot = tuple[float, float]
Segment = tuple[float, float, float, float]


class Box(NamedTuple):
    """A rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other: Box) -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies wholly inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )

    def meets(self, line: Segment) -> bool:
        """Whether a line crosses it."""
        x1, y1, x2, y2 = line
        if max(x1, x2) < self.left or min(x1, x2) > self.right or max(y1, y2) < self.top or min(y1, y2) > self.bottom:
            return False
        low, high = 0.0, 1.0
        for start, step, least, most in ((x1, x2 - x1, self.left, self.right), (y1, y2 - y1, self.top, self.bottom)):
            if step == 0:
                if not least <= start <= most:
                    return False
                continue
            one, other = sorted(((least - start) / step, (most - start) / step))
            low, high = max(low, one), min(high, other)
        return low <= high


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Where a text stands: its box, and the line that leads from its point to it, if it is not next to it.

    Attributes:
        box: of the text.
        leader: from the point to the box.
        named: it is the name; else there was room for a number alone.
    """

    box: Box
    leader: Segment | None
    named: bool

    def anchor(self, x: float) -> tuple[float, str]:
        """Where a text stands fast whose point is at x, since a reader's font may be narrower: its end at the point."""
        if self.box.left >= x:
            return self.box.left, ""
        return (self.box.right, "end") if self.box.right <= x else ((self.box.left + self.box.right) / 2, "middle")


def place_labels(
    points: Sequence[Spot],
    names: Sequence[float],
    numbers: Sequence[float],
    area: Box,
    lines: Sequence[Segment] = (),
) -> list[Label]:
    """A place for the text of each point, in their order.

    Args:
        points: in pixels.
        names: width of each point's name.
        numbers: width of each point's number, for where its name has no place.
        area: which no text leaves.
        lines: which no name lies on if it can be helped, and none ever where it stands beside its point.
    """
    dots = [Box(left=x - _DOT, top=y - _DOT, right=x + _DOT, bottom=y + _DOT) for x, y in points]
    crowd = [sum(hypot(x - x2, y - y2) < 60 for x2, y2 in points) for x, y in points]
    taken: list[Box] = []
    leaders: list[Segment] = []
    found: dict[int, Label] = {}
    far = max(_RADII) if len(points) <= _MANY else _FARTHEST
    alone_first = sorted(range(len(points)), key=lambda place: crowd[place])
    for named in (True, False):
        for place in alone_first:
            if place in found:
                continue
            width = (names if named else numbers)[place]
            label = _find_place(points[place], width, area, dots, taken, leaders, lines, far if named else 1e9)
            if label is None and not named:
                label = _find_anywhere(points[place], width, area, dots, taken, leaders)
            if label is not None:
                box, leader = label
                found[place] = Label(box=box, leader=leader, named=named)
                taken.append(box)
                if leader is not None:
                    leaders.append(leader)
    return [found[place] for place in range(len(points))]


def _find_place(
    point: Spot,
    width: float,
    area: Box,
    dots: Sequence[Box],
    taken: Sequence[Box],
    leaders: Sequence[Segment],
    lines: Sequence[Segment],
    far: float,
) -> tuple[Box, Segment | None] | None:
    """The nearest free place; of equally near ones, the one that crosses fewest lines."""
    x, y = point
    for radius in _RADII:
        if radius > far:
            return None
        room, high = width + radius + _NEAR, radius + _NEAR + 2 * _HALF
        reach = Box(left=x - room, top=y - high, right=x + room, bottom=y + high)
        texts = [each for each in taken if reach.covers(each)]
        near = texts + [each for each in dots if reach.covers(each)]
        cut = [each for each in leaders if reach.meets(each)]
        under = [each for each in lines if reach.meets(each)]
        best: tuple[int, Box, Segment | None] | None = None
        for box, leader in _list_places(point, width, radius):
            if not area.holds(box) or any(box.covers(each) for each in near):
                continue
            if any(box.meets(each) for each in cut):
                continue
            if leader is not None and any(each.meets(leader) for each in texts):
                continue
            if leader is not None and any(_cross(leader, each) for each in cut):
                continue
            crossed = sum(box.meets(each) for each in under)
            if best is None or crossed < best[0]:
                best = crossed, box, leader
            if crossed == 0:
                break
        # beside its point a name lies on no line; farther away it may, since lines are everywhere
        if best is not None and (best[0] == 0 or radius >= 28):
            return best[1], best[2]
    return None


def _list_places(point: Spot, width: float, radius: float) -> Iterator[tuple[Box, Segment | None]]:
    x, y = point
    for across, down in _TURNS:
        # the nearest spot of the box lies in this direction
        near_x, near_y = x + across * (_NEAR + radius), y + down * (_NEAR + radius)
        left = near_x if across > 0.3 else near_x - width if across < -0.3 else near_x - width / 2
        middle = near_y + (_HALF if down > 0.3 else -_HALF if down < -0.3 else 0)
        box = Box(left=left, top=middle - _HALF, right=left + width, bottom=middle + _HALF)
        leader = None if radius == 0 else (x + across * _DOT, y + down * _DOT, near_x, near_y)
        yield box, leader


def _find_anywhere(
    point: Spot, width: float, area: Box, dots: Sequence[Box], taken: Sequence[Box], leaders: Sequence[Segment]
) -> tuple[Box, Segment | None]:
    """The free place nearest to a point on a lattice over the area; the last one where none is free."""
    x, y = point
    boxes: list[tuple[float, Box]] = []
    down = area.top
    while down + 2 * _HALF <= area.bottom:
        left = area.left
        while left + width <= area.right:
            box = Box(left=left, top=down, right=left + width, bottom=down + 2 * _HALF)
            boxes.append((hypot(left + width / 2 - x, down + _HALF - y), box))
            left += width + 2
        down += 2 * _HALF
    boxes.sort(key=lambda each: each[0])
    for _, box in boxes:
        if not any(box.covers(each) for each in (*taken, *dots)) and not any(box.meets(each) for each in leaders):
            leader = (x, y, (box.left + box.right) / 2, (box.top + box.bottom) / 2)
            return box, leader if not any(each.meets(leader) for each in taken) else None
    return boxes[-1][1], None


def _cross(one: Segment, other: Segment) -> bool:
    """Whether each of two lines has an end on either side of the other."""

    def side(line: Segment, x: float, y: float) -> float:
        return (line[2] - line[0]) * (y - line[1]) - (line[3] - line[1]) * (x - line[0])

    return (
        side(one, other[0], other[1]) * side(one, other[2], other[3]) < 0
        and side(other, one[0], one[1]) * side(other, one[2], one[3]) < 0
    )
