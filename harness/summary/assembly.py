"""Moved to harness.stats.summary."""

from harness.stats.summary import UsageSum as Spend
from harness.stats.summary import build_results as assemble
from harness.stats.summary import usage_json as usage

__all__ = ["Spend", "assemble", "usage"]
