"""What a person sees while a model learns: a bar on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from harness.board.display import format_duration

EVERY: Final = 5.0  #: seconds between two lines


class Display(Protocol):
    """Shows how far a training is."""

    def begin(self, done: int, total: int) -> None:
        """Steps that are done already, and all of them."""
        ...

    def step(self, done: int, loss: float) -> None:
        """A step ended."""
        ...

    def end(self) -> None:
        """Show the last state and stop."""
        ...


class Pace:
    """Turns steps into a line: `step 120/415 (28%) · loss 0.812 · 3.4 records/s · ETA 12:10`.

    Args:
        batch: records a step.
        now: seconds of a clock that never goes back.
    """

    def __init__(self, batch: int, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._batch = batch
        self._from = self._total = 0
        self._started = now()

    def begin(self, done: int, total: int) -> None:
        """Speed counts from here: steps of an earlier invocation do not count."""
        self._from, self._total, self._started = done, total, self.now()

    def format_step(self, done: int, loss: float) -> str:
        """The state after a step."""
        seconds = max(self.now() - self._started, 1e-6)
        rate = (done - self._from) / seconds
        ends = f" · ETA {format_duration((self._total - done) / rate)}" if rate and done < self._total else ""
        percent = int(100 * done / max(self._total, 1))
        return f"step {done}/{self._total} ({percent}%) · loss {loss:.3f} · {rate * self._batch:.1f} records/s{ends}"


class Lines:
    """A line every few seconds, for logs and CI."""

    def __init__(self, stream: TextIO, pace: Pace, every: float = EVERY) -> None:
        self._stream, self._pace, self._every = stream, pace, every
        self._next, self._last = pace.now() + every, ""

    def begin(self, done: int, total: int) -> None:
        """Nothing is written before the first step."""
        self._pace.begin(done, total)

    def step(self, done: int, loss: float) -> None:
        """Write a line if it is time."""
        self._last = self._pace.format_step(done, loss)
        if self._pace.now() >= self._next:
            self._next = self._pace.now() + self._every
            self.end()

    def end(self) -> None:
        """Write the last state, unless it is written already."""
        if self._last:
            with contextlib.suppress(OSError, ValueError):  # a closed log must not end a training
                self._stream.write(f"{self._last}\n")
                self._stream.flush()
        self._last = ""


class Bar:
    """A bar that redraws itself on a terminal."""

    def __init__(self, stream: TextIO, pace: Pace) -> None:
        self._pace = pace
        self._progress = Progress(
            BarColumn(), TextColumn("{task.description}", markup=False), console=Console(file=stream, highlight=False)
        )
        self._bar = self._progress.add_task("starting")

    def begin(self, done: int, total: int) -> None:
        """Start drawing."""
        self._pace.begin(done, total)
        self._progress.update(self._bar, completed=done, total=total)
        self._progress.start()

    def step(self, done: int, loss: float) -> None:
        """Draw a step."""
        self._progress.update(self._bar, completed=done, description=self._pace.format_step(done, loss))

    def end(self) -> None:
        """Leave the last state on the screen."""
        self._progress.stop()


def choose_display(stream: TextIO, batch: int, environ: Mapping[str, str] = os.environ) -> Display:
    """A bar for a terminal, else lines."""
    live = stream.isatty() and environ.get("TERM") != "dumb"
    return Bar(stream, Pace(batch)) if live else Lines(stream, Pace(batch))
