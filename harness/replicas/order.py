"""Moved to harness.replicas.wire."""

from harness.replicas.wire import ReplicaSpec as Order

__all__ = ["Order"]
