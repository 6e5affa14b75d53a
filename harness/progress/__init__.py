"""What a person sees during a run.

The evaluation tells a `Progress` what happens and never asks how it is shown: `LiveProgress` redraws a table on a
terminal, `LineProgress` writes a line every few seconds elsewhere, `SilentProgress` writes nothing. All write to
stderr, since stdout carries results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

from harness.progress.lines import (
    CountingProgress,
    LineProgress,
    Progress,
    SilentProgress,
    format_line,
    format_spending,
)

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


def choose_progress(stderr: TextIO, environ: Mapping[str, str] = os.environ) -> Progress:
    """The display that fits the stream: live on a terminal that can move its cursor, else lines."""
    if not stderr.isatty() or environ.get("TERM") == "dumb":
        return LineProgress(stderr)
    from harness.progress.live import LiveProgress

    return LiveProgress(stderr)


choose = choose_progress  #: its documented short name
