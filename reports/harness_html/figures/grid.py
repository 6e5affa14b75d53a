"""The main number of a board by model and category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from harness.board.values import Board, Row
from harness.lineage import held_out

from .kinds import Reading, reading
from .names import apart, shown

_BY: Final = "category"
_FEWEST: Final = 2  #: categories that make a figure
HELD_OUT: Final = "‡"  #: stands at the number of a category that the training of its model left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The numbers of one board by model and category.

    Attributes:
        board: whose they are.
        rows: models, best first.
        names: of them, as they are drawn.
        heads: category -> as it is drawn, with its n; the one whose numbers are worst stands first.
        cells: (place of the row, category) -> its number.
        held_out: the cells whose category the training of their model left out.
    """

    board: Board
    rows: tuple[Row, ...]
    names: tuple[str, ...]
    heads: Mapping[str, str]
    cells: Mapping[tuple[int, str], Reading]
    held_out: frozenset[tuple[int, str]] = frozenset()

    @property
    def first(self) -> Reading:
        """Any of the numbers: their metric is the same."""
        return next(iter(self.cells.values()))

    def mark(self, place: int, category: str) -> str:
        """What stands at a number; empty for nothing."""
        return HELD_OUT if (place, category) in self.held_out else ""

    def top(self, rows: int, categories: int) -> tuple[Sequence[tuple[str, Row]], Mapping[str, str]]:
        """The best models with their names, and the worst categories with their heads."""
        return list(zip(self.names, self.rows, strict=True))[:rows], dict(list(self.heads.items())[:categories])


def grid(board: Board) -> Grid | None:
    """The board's numbers by category; None where there are too few for a figure."""
    rows = tuple(row for row in board.rows if row.by.get(_BY))
    cells = {
        (place, category): found
        for place, row in enumerate(rows)
        for category, (_, measures) in row.by[_BY].items()
        if (found := reading(next((each for each in measures if each.main), None))) is not None
    }
    order = _worst_first(cells)
    if len(order) < _FEWEST:
        return None
    sizes = {name: max(row.by[_BY][name][0] for row in rows if name in row.by[_BY]) for name in order}
    heads = apart((f"{shown(name, 26)} ({sizes[name]:,})" for name in order), 40)
    return Grid(
        board=board,
        rows=rows,
        names=tuple(apart(row.model for row in rows)),
        heads=dict(zip(order, heads, strict=True)),
        cells=cells,
        held_out=frozenset(
            (place, name) for place, name in cells if rows[place].held_out and held_out(rows[place].held_out, name)
        ),
    )


def _worst_first(cells: Mapping[tuple[int, str], Reading]) -> list[str]:
    """The categories by the mean of their numbers over the models."""
    values: dict[str, list[float]] = {}
    for (_, category), found in cells.items():
        values.setdefault(category, []).append(found.value if found.better == "lower" else -found.value)
    return sorted(values, key=lambda category: (-fmean(values[category]), category))
