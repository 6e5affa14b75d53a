"""Moved to harness.limits.throttling."""

from harness.limits.throttling import OWN

__all__ = ["OWN"]
