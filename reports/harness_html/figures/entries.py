"""Rows of one board as the entries of a figure: named apart, with the number that is drawn, at most `MOST` of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.display import ARROWS
from harness.board.values import Board, Row

from .kinds import Reading, reading
from .names import apart, shown
from .theme import LIGHT

MOST: Final = 30  #: models in one figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model in a figure.

    Attributes:
        name: as it is drawn; no other entry of the figure has it.
        row: of the board.
        reading: what is drawn of it.
    """

    name: str
    row: Row
    reading: Reading

    @property
    def colour(self) -> str:
        """Grey where the row is not ranked."""
        return LIGHT.faint if self.row.unranked else LIGHT.series[0]

    @property
    def fill(self) -> str:
        """Hollow where the row is not ranked."""
        return LIGHT.ground if self.row.unranked else LIGHT.series[0]

    @property
    def ink(self) -> str:
        """The colour of its text."""
        return LIGHT.quiet if self.row.unranked else LIGHT.ink

    @property
    def remark(self) -> str:
        """Why it is not ranked."""
        return shown(self.row.unranked, 40) if self.row.unranked else ""

    @property
    def text(self) -> str:
        """The number, its interval and the remark."""
        return f"{self.reading.text}{f'  {self.remark}' if self.remark else ''}"


def entries(board: Board) -> tuple[Entry, ...]:
    """The board's rows that have a main number, best first."""
    read = [(row, found) for row in board.rows if (found := reading(row.main)) is not None]
    names = apart(row.model for row, _ in read)
    return tuple(Entry(name=name, row=row, reading=found) for name, (row, found) in zip(names, read, strict=True))


def arrow(found: Reading) -> str:
    """The metric with unit and direction, as an axis is titled: `ASR % ↓`."""
    unit = " %" if found.unit == "%" else ""
    return f"{shown(found.label)}{unit} {ARROWS.get(found.better, '')}".rstrip()


def whole(boards: Sequence[Board]) -> tuple[Board, ...]:
    """The boards that are no part of another one."""
    return tuple(board for board in boards if not board.part_of)


def settled(boards: Sequence[Board]) -> tuple[Board, ...]:
    """Those of `whole` that hold results of a run's own judge: a further judge is shown by what it changes."""
    return tuple(board for board in whole(boards) if any(row.primary for row in board.rows))


def scale(readings: Iterable[Reading]) -> tuple[float, float]:
    """The ends of an axis: all that is possible for percent and for shares of 1, else what there is."""
    given = list(readings)
    units = {each.unit for each in given}
    if units <= {"%", "0-1"}:
        return (0.0, 100.0) if units == {"%"} else (0.0, 1.0)
    low, high = min(each.low for each in given), max(each.high for each in given)
    room = (high - low or 1.0) * 0.05
    return low - room, high + room
