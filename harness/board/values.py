"""Moved to harness.board.rows and harness.board.leaderboard."""

from harness.board.leaderboard import Board
from harness.board.rows import Caution, Ends, JudgeNote, Measure, Row

__all__ = ["Board", "Caution", "Ends", "JudgeNote", "Measure", "Row"]
