"""The arithmetic of metrics: values, intervals, exact bounds, pairing."""

from harness.stats.tally import (
    Tally,
)

__all__ = [
    "Tally",
]
