"""Which rows have a caution in one cell, and which answers a reader may want to look at."""

from __future__ import annotations

from harness.board.display import marks
from harness.board.values import Board, Row


def cautioned(row: Row) -> str:
    """The kinds of a row's cautions: `own_family, trained_on`; empty for none."""
    return ", ".join(caution.kind for caution in row.cautions)


def flagged(board: Board) -> tuple[str, ...]:
    """One sentence for each run with answers that are cut off, marked as a refusal or shaped like a verdict."""
    told = ((row.model, row.outcomes["answered"], marks(row.flags)) for row in board.rows)
    return tuple(dict.fromkeys(f"{model}: of {count} answers, {marked}." for model, count, marked in told if marked))
