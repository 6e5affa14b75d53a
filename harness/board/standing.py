"""Which rows of a board a report may mark: only where the difference is significant."""

from __future__ import annotations

from typing import Literal

from harness.board.values import Board, Row

Standing = Literal["best", "second", ""]


def standing(board: Board, row: Row) -> Standing:
    """`best` for the one row of rank 1 that nobody shares, `second` for the one of rank 2 before others, else nothing.

    A rank is significant by itself: it counts the rows whose whole interval is better. A row alone is not best.
    """
    ranks = [other.rank for other in board.rows if other.rank is not None]
    if len(ranks) < 2 or row.rank is None or row.rank > 2 or ranks.count(1) != 1 or ranks.count(row.rank) != 1:
        return ""
    return "best" if row.rank == 1 else "second" if len(ranks) > 2 else ""
