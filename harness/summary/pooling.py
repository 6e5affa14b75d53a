"""Moved to harness.stats.summary."""

from harness.stats.summary import TaskSummary

__all__ = ["TaskSummary"]
