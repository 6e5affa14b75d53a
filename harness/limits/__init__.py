"""Slots per endpoint, one retry policy, and the breaker."""

from harness.limits.slots import (
    Endpoint,
    Endpoints,
    Metered,
    Policy,
)

__all__ = [
    "Endpoint",
    "Endpoints",
    "Metered",
    "Policy",
]
