"""Moved to harness.stats.summary."""

from harness.stats.summary import FLAGS, STATES, DrawWatch, SplitSummary
from harness.stats.summary import JudgedItem as Row
from harness.stats.summary import SplitRun as Ran
from harness.stats.summary import label_outcome as settled
from harness.stats.summary import label_record as judged

__all__ = ["FLAGS", "STATES", "DrawWatch", "Ran", "Row", "SplitSummary", "judged", "settled"]
