"""Which answers a reader may want to look at: those that are cut off, refused by mark or shaped like a verdict."""

from __future__ import annotations

from harness.board.display import marks
from harness.board.values import Board


def flagged(board: Board) -> tuple[str, ...]:
    """One sentence for each run with such answers, however many judges it has."""
    told = ((row.model, row.outcomes["answered"], marks(row.flags)) for row in board.rows)
    return tuple(dict.fromkeys(f"{model}: of {count} answers, {marked}." for model, count, marked in told if marked))
