"""Moved to harness.stats.summary."""

from harness.stats.summary import suite_results

__all__ = ["suite_results"]
