"""Moved to harness.board.leaderboard."""

from harness.board.leaderboard import licences

__all__ = ["licences"]
