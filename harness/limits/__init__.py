"""Slots per endpoint, one retry policy, and the breaker."""

from harness.limits.breaker import Breaker
from harness.limits.metered import Metered, MeteredBrush
from harness.limits.slots import (
    Endpoint,
    Endpoints,
    Policy,
)

__all__ = [
    "Breaker",
    "Endpoint",
    "Endpoints",
    "Metered",
    "MeteredBrush",
    "Policy",
]
