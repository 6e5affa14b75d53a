"""Moved to harness.board.leaderboard."""

from harness.board.leaderboard import find_standing as standing

__all__ = ["standing"]
