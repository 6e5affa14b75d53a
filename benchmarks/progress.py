"""What a run's progress costs for each event, beside writing one line of JSON, which the run does for it anyway.

python -m benchmarks.progress
"""

import io
import json
import time
from collections.abc import Callable

from rich.console import Console

from harness.metrics import rate
from harness.progress import LineProgress, Progress
from harness.progress.live import LiveProgress

EVENTS = 20_000
MOST = 1.0
LINE = {"item": "mis:easy:1", "outcome": "answered", "text": "I cannot help with that. " * 12, "tokens": [1, 2, 3]}


def main() -> None:
    reference = measure(lambda: [json.dumps(LINE) for _ in range(EVENTS)])
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    for name, progress in (
        ("lines", LineProgress(io.StringIO())),
        ("a terminal", LiveProgress(io.StringIO(), console=terminal)),
    ):
        progress.begin("mis", "easy", total=10**9, metric=rate("ASR", "unsafe", better="lower", main=True))
        ratio = measure(lambda progress=progress: tell(progress)) / reference
        print(f"an event shown as {name}: {ratio * reference:.1f} us, {ratio:.2f} of a line of JSON (at most {MOST:g})")


def tell(progress: Progress) -> None:
    """Half of the events are answers, half verdicts."""
    for _ in range(EVENTS // 2):
        progress.answered("mis", "easy", "answered", fresh=True)
        progress.judged("mis", "easy", "unsafe", share=(1.0, 1.0), fresh=True)


def measure(act: Callable[[], object]) -> float:
    """Microseconds of the processor for each event, the best of five."""
    taken: list[float] = []
    for _ in range(5):
        start = time.process_time()
        act()
        taken.append((time.process_time() - start) / EVENTS * 1e6)
    return min(taken)


if __name__ == "__main__":
    main()
