"""Moved to harness.runs.comparing.comparison."""

from harness.runs.comparing.comparison import ALPHA, Comparison, Counts, Finding, Flip, Flips, Side
from harness.runs.comparing.comparison import JudgedPart as Part
from harness.runs.comparing.comparison import MetricChange as Change
from harness.runs.comparing.comparison import Mismatch as Unlike
from harness.runs.comparing.comparison import SplitComparison as Compared

__all__ = ["ALPHA", "Change", "Compared", "Comparison", "Counts", "Finding", "Flip", "Flips", "Part", "Side", "Unlike"]
