"""Moved to harness.files."""

from harness.files import resolve_name as named

__all__ = ["named"]
