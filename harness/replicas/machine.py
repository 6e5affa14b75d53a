"""Moved to harness.replicas.placement."""

from harness.replicas.placement import accelerator

__all__ = ["accelerator"]
