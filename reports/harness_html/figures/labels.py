"""Where the names of points go, so that none covers another: each at the first free place around its point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .theme import SMALL, WIDE

_DOT: Final = 5.0  #: px, half of a point
_GAP: Final = 4.0  #: px from a point or its lines to its text
_HALF: Final = SMALL / 2 + 1  #: px, half of a text's height


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
        """What it covers: the point and both lines."""
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
    """A place for each text next to its mark that covers nothing; empty where one of them has none.

    Args:
        marks: in a square of `size` pixels.
        texts: one for each.
        size: of the square, which no text leaves.
        others: what else must not be covered.
    """
    taken = [*(box for mark in marks for box in mark.boxes), *others]
    placed: list[Label] = []
    for mark, text in zip(marks, texts, strict=True):
        width = WIDE * len(text)
        tries = (*_past_lines(mark, width, _GAP), *_in_corners(mark, width, 1), *_past_lines(mark, width, 3 * _GAP))
        box = next((box for box in tries if _is_inside(box, size) and not box.covers(*taken)), None)
        if box is None:
            return ()
        taken.append(box)
        placed.append(Label(text=text, x=box.left, y=(box.top + box.bottom) / 2))
    return tuple(placed)


def place_numbers(marks: Sequence[Mark], size: float, others: Sequence[Box] = ()) -> tuple[Label, ...]:
    """The number of each mark, from 1, in a corner next to its point: on a line only where it must be."""
    points = [mark.boxes[0] for mark in marks]
    lines = [*(box for mark in marks for box in mark.boxes[1:]), *others]
    placed: list[Label] = []
    for mark, text in ((mark, str(place)) for place, mark in enumerate(marks, start=1)):
        width = WIDE * len(text)
        farther = (box for gap in (1, 3, 5, 7) for box in _in_corners(mark, width, gap * _GAP))
        tries = (*_in_corners(mark, width, 0), *_past_lines(mark, width, _GAP), *farther)
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


def _past_lines(mark: Mark, width: float, gap: float) -> Iterator[Box]:
    """Past the ends of its lines: right, left, above, below."""
    yield _text_box(max(mark.right, mark.x + _DOT) + gap, mark.y, width)
    yield _text_box(min(mark.left, mark.x - _DOT) - gap - width, mark.y, width)
    yield _text_box(mark.x - width / 2, mark.top - gap - _HALF, width)
    yield _text_box(mark.x - width / 2, mark.bottom + gap + _HALF, width)


def _text_box(left: float, middle: float, width: float) -> Box:
    return Box(left=left, right=left + width, top=middle - _HALF, bottom=middle + _HALF)


def _is_inside(box: Box, size: float) -> bool:
    return min(box.left, box.top) >= 0 and max(box.right, box.bottom) <= size
