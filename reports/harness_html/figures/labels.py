"""Where the names of points go, so that none covers another: each at the first free place around its point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .theme import SMALL, WIDE

_DOT: Final = 5.0  #: px, half of a point
_GAP: Final = 4.0  #: px from a point or its lines to its text
_HALF: Final = SMALL / 2 + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in pixels, y downwards."""

    left: float
    right: float
    top: float
    bottom: float

    def covers(self, other: Box) -> bool:
        """Whether they share an area."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A text whose left middle stands at (x, y)."""

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
        """What it covers: the point and both lines."""
        return (
            dot(self.x, self.y, _DOT),
            Box(left=self.left, right=self.right, top=self.y - 1, bottom=self.y + 1),
            Box(left=self.x - 1, right=self.x + 1, top=self.top, bottom=self.bottom),
        )


def dot(x: float, y: float, half: float = 2.0) -> Box:
    """A small square."""
    return Box(left=x - half, right=x + half, top=y - half, bottom=y + half)


def named(marks: Sequence[Mark], texts: Sequence[str], size: float, others: Sequence[Box] = ()) -> tuple[Placed, ...]:
    """A place for each text beside its mark that covers nothing; empty where one of them has none.

    Args:
        marks: in a square of `size` pixels.
        texts: one for each.
        size: of the square, which no text leaves.
        others: what else must not be covered.
    """
    taken = [*(box for mark in marks for box in mark.boxes), *others]
    placed: list[Placed] = []
    for mark, text in zip(marks, texts, strict=True):
        width = WIDE * len(text)
        tried = (*_past(mark, width, _GAP), *_corners(mark, width, 1), *_past(mark, width, 3 * _GAP))
        box = next((box for box in tried if _inside(box, size) and not _covers(box, taken)), None)
        if box is None:
            return ()
        taken.append(box)
        placed.append(_at(box, text))
    return tuple(placed)


def numbered(marks: Sequence[Mark], size: float, others: Sequence[Box] = ()) -> tuple[Placed, ...]:
    """The number of each mark, from 1, in a corner beside its point: on a line only where it must be."""
    points = [mark.boxes[0] for mark in marks]
    lines = [*(box for mark in marks for box in mark.boxes[1:]), *others]
    placed: list[Placed] = []
    for mark, text in ((mark, str(place)) for place, mark in enumerate(marks, start=1)):
        width = WIDE * len(text)
        farther = (box for gap in (1, 3, 5, 7) for box in _corners(mark, width, gap * _GAP))
        tried = (*_corners(mark, width, 0), *_past(mark, width, _GAP), *farther)
        inside = [box for box in tried if _inside(box, size)]
        clear = [box for box in inside if not _covers(box, points)]
        box = next(iter((*(box for box in clear[:4] if not _covers(box, lines)), *clear, *inside)))
        points.append(box)
        placed.append(_at(box, text))
    return tuple(placed)


def _at(box: Box, text: str) -> Placed:
    return Placed(text=text, x=box.left, y=(box.top + box.bottom) / 2)


def _covers(box: Box, others: Sequence[Box]) -> bool:
    return any(box.covers(other) for other in others)


def _corners(mark: Mark, width: float, gap: float) -> Iterator[Box]:
    """Right above and below, left above and below the point, off its own lines."""
    for left in (mark.x + _DOT + gap, mark.x - _DOT - gap - width):
        for side in (-1, 1):
            yield _box(left, mark.y + side * (_HALF + 1 + gap), width)


def _past(mark: Mark, width: float, gap: float) -> Iterator[Box]:
    """Past the ends of its lines: right, left, above, below."""
    yield _box(max(mark.right, mark.x + _DOT) + gap, mark.y, width)
    yield _box(min(mark.left, mark.x - _DOT) - gap - width, mark.y, width)
    yield _box(mark.x - width / 2, mark.top - gap - _HALF, width)
    yield _box(mark.x - width / 2, mark.bottom + gap + _HALF, width)


def _box(left: float, middle: float, width: float) -> Box:
    return Box(left=left, right=left + width, top=middle - _HALF, bottom=middle + _HALF)


def _inside(box: Box, size: float) -> bool:
    return min(box.left, box.top) >= 0 and max(box.right, box.bottom) <= size
