"""Moved to harness.text."""

from harness.text import escape_tex as escape

__all__ = ["escape"]
