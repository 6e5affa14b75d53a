"""The arithmetic of metrics: values, intervals, exact bounds, pairing, agreement, and the summary of a run."""

from harness.stats.tally import Tally

__all__ = ["Tally"]
