"""Moved to harness.stats.summary."""

from harness.stats.summary import STATES, SplitSummary
from harness.stats.summary import JudgedItem as Row
from harness.stats.summary import SplitRun as Ran
from harness.stats.summary import label_outcome as settled

__all__ = ["STATES", "Ran", "Row", "SplitSummary", "settled"]
