"""Records to results.json."""

from harness.summary.split import (
    STATES,
    Ran,
    Row,
    SplitSummary,
    settled,
)

__all__ = [
    "STATES",
    "Ran",
    "Row",
    "SplitSummary",
    "settled",
]
