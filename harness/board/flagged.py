"""Moved to harness.board.leaderboard; what `cautioned` gives is `Row.caution_kinds`."""

from harness.board.leaderboard import list_flags as flagged
from harness.board.rows import Row


def cautioned(row: Row) -> str:
    """The kinds of a row's cautions: `own_family, trained_on`; empty for none."""
    return row.caution_kinds


__all__ = ["cautioned", "flagged"]
