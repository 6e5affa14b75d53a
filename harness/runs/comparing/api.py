"""Moved to harness.runs.comparing.compare."""

from harness.runs.comparing.compare import compare

__all__ = ["compare"]
