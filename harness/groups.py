"""Moved to harness.errors."""

from harness.errors import find_root_error as leaf
from harness.errors import unwrap_groups as ungrouped

__all__ = ["leaf", "ungrouped"]
