"""Moved to harness.text."""

from harness.text import one_line, plain, say

__all__ = ["one_line", "plain", "say"]
