"""Moved to harness.limits.endpoints."""

from harness.limits.endpoints import Endpoint, Endpoints, Policy, Tell

__all__ = ["Endpoint", "Endpoints", "Policy", "Tell"]
