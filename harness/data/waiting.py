"""Moved to harness.data.transfer."""

from harness.data.transfer import Waits

__all__ = ["Waits"]
