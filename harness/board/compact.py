"""Moved to harness.board.tables."""

from harness.board.tables import print_report_table as show
from harness.board.tables import render_report_table as render

__all__ = ["render", "show"]
