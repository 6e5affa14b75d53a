"""Moved to harness.limits.metered."""

from harness.limits.metered import Breaker

__all__ = ["Breaker"]
