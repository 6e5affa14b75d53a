"""Moved to harness.board.rows."""

from harness.board.rows import TOY_DATA
from harness.board.rows import find_cautions as cautions

__all__ = ["TOY_DATA", "cautions"]
