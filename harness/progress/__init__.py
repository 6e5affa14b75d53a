"""What a person sees during a run."""

from harness.progress.lines import (
    CountingProgress,
    LineProgress,
    Progress,
    SilentProgress,
    choose_progress,
    format_line,
    format_spending,
)

choose = choose_progress  #: its former name, for code that knows it

__all__ = [
    "CountingProgress",
    "LineProgress",
    "Progress",
    "SilentProgress",
    "choose",
    "choose_progress",
    "format_line",
    "format_spending",
]
