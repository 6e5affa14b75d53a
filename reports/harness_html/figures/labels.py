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
    free: bool


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


def place(marks: Sequence[Mark], texts: Sequence[str], size: float, others: Sequence[Box] = ()) -> tuple[Placed, ...]:
    """A place for each text beside its mark; `free` is false where it covers something.

    Args:
        marks: in a square of `size` pixels.
        texts: one for each.
        size: of the square; a text that would leave it is not placed there.
        others: what else must not be covered.
    """
    taken = [*(box for mark in marks for box in mark.boxes), *others]
    placed: list[Placed] = []
    for mark, text in zip(marks, texts, strict=True):
        tried = list(_around(mark, WIDE * len(text)))
        free = [box for box in tried if _inside(box, size) and not any(box.covers(other) for other in taken)]
        box = free[0] if free else tried[0]
        taken.append(box)
        placed.append(Placed(text=text, x=box.left, y=(box.top + box.bottom) / 2, free=bool(free)))
    return tuple(placed)


def _around(mark: Mark, width: float) -> Iterator[Box]:
    """In the corners beside the point, then past the ends of its lines, then a little further away."""
    for far in (_GAP, 3 * _GAP):
        right, left = mark.x + far, mark.x - far - width
        above, below = mark.y - far - _HALF, mark.y + far + _HALF
        past_right, past_left = max(mark.right, mark.x + _DOT) + far, min(mark.left, mark.x - _DOT) - far - width
        past_top, past_bottom = mark.top - far - _HALF, mark.bottom + far + _HALF
        places = (
            *((past_right, mark.y), (past_left, mark.y), (right, above), (left, above), (right, below), (left, below)),
            *((mark.x - width / 2, past_top), (mark.x - width / 2, past_bottom)),
        )
        for start, middle in places:
            yield Box(left=start, right=start + width, top=middle - _HALF, bottom=middle + _HALF)


def _inside(box: Box, size: float) -> bool:
    return min(box.left, box.top) >= 0 and max(box.right, box.bottom) <= size
