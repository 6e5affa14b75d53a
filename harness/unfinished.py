"""Moved to harness.fingerprint."""

from harness.fingerprint import MARK, refuse_unfinished
from harness.fingerprint import mark_unfinished as mark

__all__ = ["MARK", "mark", "refuse_unfinished"]
