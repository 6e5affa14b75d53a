"""Two numbers of the same models: boards that share models, and which row of the one belongs to which of the other.

A model is the same where its ref, strategy, identity and seed are; its shown name differs from board to board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.values import Board, Row

from . import told
from .entries import MOST, arrow, settled
from .kinds import Kind, Reading, read

FEWEST: Final = 2  #: models that make a scatter
MOST_PAIRS: Final = 4  #: figures of one sort; those with most models are drawn

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One number of one model; `open` where it is not ranked."""

    row: Row
    reading: Reading
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One number of several models.

    Attributes:
        name: of what it is measured on: `mis:test`.
        size: what the numbers rest on: `n 2,185`.
        found: model -> its point, best first; of several runs of one model the least favourable.
    """

    name: str
    size: str
    found: Mapping[Key, Point]

    @property
    def first(self) -> Reading:
        """Any of the numbers: their metric is the same."""
        return next(point.reading for point in self.found.values())

    @property
    def title(self) -> str:
        """`ASR % ↓ on mis:test`."""
        return f"{arrow(self.first)} on {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One model in a scatter.

    Attributes:
        row: it is named by.
        x: one number.
        y: the other.
        open: one of the two is not ranked.
    """

    row: Row
    x: Reading
    y: Reading
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sides with the models they share; `there` counts those that are left out too."""

    x: Side
    y: Side
    spots: tuple[Spot, ...]
    there: int


def identity(row: Row) -> Key:
    """What makes two rows of different boards rows of one model."""
    return row.ref, row.strategy, row.options.get("identity", ""), row.options.get("seed", "")


def sides(boards: Sequence[Board], kind: Kind) -> tuple[Side, ...]:
    """The boards that say something of this kind, parts of others left out."""
    every = [_side(board, kind) for board in settled(boards)]
    return tuple(side for side in every if side.found)


def _side(board: Board, kind: Kind) -> Side:
    read_rows = [(row, found) for row in board.rows if (found := read(row, kind)) is not None]
    return Side(
        name=told.board(board),
        size=told.sizes(found.n for _, found in read_rows),
        found={identity(row): Point(row=row, reading=found, open=bool(row.unranked)) for row, found in read_rows},
    )


def pairs(xs: Sequence[Side], ys: Sequence[Side]) -> tuple[Pair, ...]:
    """Pairs of sides that share models, in the order they came."""
    made = (_pair(x, y) for y in ys for x in xs)
    return tuple(pair for pair in made if pair.there >= FEWEST)


def chosen(found: Sequence[Pair]) -> tuple[Pair, ...]:
    """At most `MOST_PAIRS` of them: of those with many models, such that each side is seen before one comes again."""
    left, picked = list(found), list[Pair]()
    many = max((pair.there for pair in found), default=0) / 2
    while left and len(picked) < MOST_PAIRS:
        used = Counter(side.name for pair in picked for side in (pair.x, pair.y))
        best = min(left, key=lambda pair: (pair.there < many, used[pair.x.name] + used[pair.y.name], -pair.there))
        left.remove(best)
        picked.append(best)
    return tuple(picked)


def _pair(x: Side, y: Side) -> Pair:
    spots = [
        Spot(row=point.row, x=x.found[key].reading, y=point.reading, open=point.open or x.found[key].open)
        for key, point in y.found.items()
        if key in x.found
    ]
    return Pair(x=x, y=y, spots=tuple(spots[:MOST]), there=len(spots))
