"""Moved to harness.board.tables."""

from harness.board.tables import WIDTH
from harness.board.tables import print_drawing as shown
from harness.board.tables import print_run_table as show
from harness.board.tables import render_run_table as render

__all__ = ["WIDTH", "render", "show", "shown"]
