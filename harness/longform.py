"""Moved to harness.board.longform."""

from harness.board.longform import COLUMNS, Cell, lines

__all__ = ["COLUMNS", "Cell", "lines"]
