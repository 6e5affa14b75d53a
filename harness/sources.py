"""Moved to harness.contracts."""

from harness.contracts import BUILT, UNSEEN, DataSource

__all__ = ["BUILT", "UNSEEN", "DataSource"]
