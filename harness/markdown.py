"""Moved to harness.text."""

from harness.text import escape_markdown as escape

__all__ = ["escape"]
