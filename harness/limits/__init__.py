"""Slots per endpoint, one retry policy, and the breaker."""

from harness.limits.endpoints import Endpoint, Endpoints, Policy
from harness.limits.metered import Breaker, Metered, MeteredBrush

__all__ = ["Breaker", "Endpoint", "Endpoints", "Metered", "MeteredBrush", "Policy"]
