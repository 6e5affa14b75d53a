"""Moved to harness.board.leaderboard."""

from harness.board.leaderboard import Mean, means

__all__ = ["Mean", "means"]
