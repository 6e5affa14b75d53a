"""What of a board fits how many columns of a terminal: names are shortened, then metrics are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness.board.display import estimate, figure, share
from harness.board.standing import standing
from harness.board.table import label
from harness.board.values import Board, Measure, Row
from harness.terminal import one_line

GAP: Final = 2  #: columns between two cells
LEAST: Final = 20  #: columns of a model's name before a metric is left out for it
MARKS: Final = {"best": "*", "second": "°", "": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its head, a cell for each row, and whether numbers stand in it."""

    head: str
    cells: tuple[str, ...]
    right: bool = True

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        from rich.cells import cell_len

        return max(cell_len(line) for cell in (self.head, *self.cells) for line in cell.split("\n"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A board's columns as they fit.

    Attributes:
        columns: in order; the second is the model's.
        model: width of the model's name.
    """

    columns: tuple[Column, ...]
    model: int


def fitted(board: Board, width: int) -> Fitted:
    """As much as fits: the main metric and its interval, then other metrics, then their intervals."""
    head = _head(board)
    columns: tuple[Column, ...] = head
    left = width
    for between in _choices(board):
        columns = (*head, *between)
        left = width - sum(column.width + GAP for column in columns if column is not head[1])
        if left >= min(head[1].width, LEAST):
            break
    return Fitted(columns=columns, model=max(1, min(left, head[1].width)))


def _choices(board: Board) -> Iterator[tuple[Column, ...]]:
    """What may stand behind the model's name, best first: flags beside each other or one a line, then fewer metrics."""
    tails = [_tail(board, joined=True), _tail(board, joined=False)]
    for metrics in _metrics(board):
        yield from ((*metrics, *tail) for tail in tails)


def _metrics(board: Board) -> Iterator[tuple[Column, ...]]:
    whole = tuple(_metric(board, measure, interval=True) for measure in board.measures)
    short = tuple(_metric(board, measure, interval=False) for measure in board.measures)
    yield whole
    yield from ((*whole[:1], *short[1:count]) for count in range(len(whole), 1, -1))
    yield whole[:1]
    yield short[:1]


def _head(board: Board) -> tuple[Column, Column]:
    ranks = tuple("—" if row.rank is None else f"{row.rank}{MARKS[standing(board, row)]}" for row in board.rows)
    names = tuple(one_line(row.model) for row in board.rows)
    return Column(head="#", cells=ranks, right=False), Column(head="model", cells=names, right=False)


def _metric(board: Board, measure: Measure, *, interval: bool) -> Column:
    return Column(head=label(measure), cells=tuple(_value(row, measure.name, interval=interval) for row in board.rows))


def _value(row: Row, name: str, *, interval: bool) -> str:
    found = next((measure for measure in row.measures if measure.name == name), None)
    if found is None:
        return ""
    return estimate(found.value, found.ci95, found.unit) if interval else figure(found.value, found.unit)


def _tail(board: Board, *, joined: bool) -> tuple[Column, ...]:
    """What stands beside every number; the column of flags only where a row has one."""
    every = board.rows
    told = tuple((" " if joined else "\n").join(flags(row)) for row in every)
    return (
        Column(head="n", cells=tuple(f"{row.n}" if row.epochs == 1 else f"{row.n}x{row.epochs}" for row in every)),
        Column(head="cov.", cells=tuple(share(row.coverage) for row in every)),
        Column(head="blk", cells=tuple(str(row.blocked) for row in every)),
        *((Column(head="flags", cells=told, right=False),) if any(told) else ()),
    )


def flags(row: Row) -> Iterator[str]:
    """What must be held against a row, a word each; the notes tell it in full."""
    if row.main is None or row.main.value is None:
        yield "unscored"
    if row.subset is not None:
        yield "subset"
    if not row.complete:
        yield "incomplete"
    yield from (caution.kind.replace("_", "-") for caution in row.cautions)
    if row.flags.get("truncated"):
        yield "truncated"
