"""What a person sees while a run goes on."""

from harness.progress.lines import (
    CountingProgress,
    LineProgress,
    Progress,
    SilentProgress,
    choose,
    line,
    spending,
)

__all__ = [
    "CountingProgress",
    "LineProgress",
    "Progress",
    "SilentProgress",
    "choose",
    "line",
    "spending",
]
