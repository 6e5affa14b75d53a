"""A clock that passes when told, and answers for a progress to count."""

from __future__ import annotations

import io

from rich.console import Console

from harness.metrics import rate
from harness.progress import Progress
from harness.progress.live import LiveProgress

ASR = rate("ASR", "unsafe", better="lower", main=True)


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def answer(progress: Progress, count: int, label: str = "unsafe", *, fresh: bool = True) -> None:
    """Answer and judge `count` samples of mis:easy."""
    for _ in range(count):
        progress.answered("mis", "easy", "answered", fresh=fresh)
        progress.judged("mis", "easy", label, share=(float(label == "unsafe"), 1.0), fresh=fresh)


def live(clock: Clock, width: int = 120) -> tuple[LiveProgress, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None, highlight=False)
    return LiveProgress(out, clock=clock, console=console), out
