"""The events of a run that a display learns, and the display that writes lines; `harness.progress.tally` counts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from harness.board.display import format_count
from harness.board.display import format_duration as clock
from harness.board.display import format_value as figure
from harness.metrics import NOT_COUNTED, Metric, Share
from harness.progress.tally import SplitView, Tally
from harness.text import one_line
from harness.types import Outcome, Usage

Clock = Callable[[], float]


class Progress(Protocol):
    """Learns from the engine what happens; entered before the first event, left after the last one.

    `fresh` is False for a record that an earlier invocation answered or judged: it counts, but not as speed.
    `share` is what the split's main metric makes of the record (`Metric.score`), given once per record: with the
    verdict, or with the answer where no verdict will come (blocked, empty). It feeds the running value only.
    """

    def __enter__(self) -> Self:
        """Start showing."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state and stop."""
        ...

    def begin(
        self, task: str, split: str, *, total: int | None = None, metric: Metric | None = None, judge: bool = True
    ) -> None:
        """A split begins, or a second pass over it, which reports all its records again.

        Args:
            task: its displayed name.
            split: its name.
            total: records asked for, None while the samples are still being listed.
            metric: the main metric, for the running value.
            judge: a judge reads the answers in this invocation.
        """
        ...

    def answered(
        self, task: str, split: str, outcome: Outcome, *, share: Share = NOT_COUNTED, fresh: bool = True
    ) -> None:
        """A record's generation ended."""
        ...

    def judged(self, task: str, split: str, state: str, *, share: Share = NOT_COUNTED, fresh: bool = True) -> None:
        """An answer got a label, or an UnscoredState when the judge gave none."""
        ...

    def spent(self, usage: Usage, *, cost: float | None = None) -> None:
        """A call used tokens and, where its price is known, US dollars."""
        ...

    def note(self, text: str) -> None:
        """Something a person wants to know now, such as an endpoint that asked to slow down."""
        ...


class SilentProgress:
    """Shows nothing: for library use and tests."""

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to stop."""

    def begin(
        self, task: str, split: str, *, total: int | None = None, metric: Metric | None = None, judge: bool = True
    ) -> None:
        """Ignored."""

    def answered(
        self, task: str, split: str, outcome: Outcome, *, share: Share = NOT_COUNTED, fresh: bool = True
    ) -> None:
        """Ignored."""

    def judged(self, task: str, split: str, state: str, *, share: Share = NOT_COUNTED, fresh: bool = True) -> None:
        """Ignored."""

    def spent(self, usage: Usage, *, cost: float | None = None) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


class CountingProgress(SilentProgress):
    """Counts, and leaves showing to a subclass: `_tick` is called after each event and must be cheap."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.tally = Tally()
        self._clock = clock

    def begin(
        self, task: str, split: str, *, total: int | None = None, metric: Metric | None = None, judge: bool = True
    ) -> None:
        """Start a split, or start it again."""
        self.tally.begin(task, split, self._clock(), total=total, metric=metric, judge=judge)
        self._tick()

    def answered(
        self, task: str, split: str, outcome: Outcome, *, share: Share = NOT_COUNTED, fresh: bool = True
    ) -> None:
        """Count an outcome."""
        self.tally.splits[task, split].answered(outcome, share, fresh)
        self._tick()

    def judged(self, task: str, split: str, state: str, *, share: Share = NOT_COUNTED, fresh: bool = True) -> None:
        """Count a label or a judge's failure."""
        self.tally.splits[task, split].judged(state, share, fresh)
        self._tick()

    def spent(self, usage: Usage, *, cost: float | None = None) -> None:
        """Add tokens and money."""
        self.tally.spent(usage, cost)

    def _tick(self) -> None:
        """Show something if it is time."""


class LineProgress(CountingProgress):
    """A line for each split that moved, every few seconds: for logs and CI."""

    def __init__(self, stream: TextIO, *, every: float = 5.0, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._stream = stream
        self._every = every
        self._next = clock() + every
        self._shown: dict[str, tuple[int, int]] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write where each split ended."""
        self._write_lines(self._clock())

    def note(self, text: str) -> None:
        """Write it at once."""
        self._write([one_line(text)])

    def _tick(self) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + self._every
            self._write_lines(now)

    def _write_lines(self, now: float) -> None:
        views = self.tally.views(now)
        moved = [view for view in views if self._shown.get(view.name, (0, 0)) != (view.ended, view.judged)]
        if not moved:
            return
        self._shown.update({view.name: (view.ended, view.judged) for view in moved})
        lines = [format_line(view) for view in moved]
        self._write([*lines[:-1], lines[-1] + format_spending(self.tally)])

    def _write(self, lines: list[str]) -> None:
        # a log that is closed or full must not end a run that has paid for its answers
        with contextlib.suppress(OSError, ValueError):
            self._stream.writelines(f"{text}\n" for text in lines)
            self._stream.flush()


def format_line(view: SplitView) -> str:
    """One split as one line: `mis:easy 812/1675 (47%) · 12.3/s · ETA 1:10 · ASR 80.3 n=812 · …`."""
    percent = "" if view.fraction is None else f" ({int(100 * view.fraction)}%)"
    pace = ""
    if view.remaining != 0:
        pace = f"{view.rate:.1f}/s" + ("" if view.remaining is None else f" · ETA {clock(view.remaining)}")
    name = f"{one_line(view.name)} {format_done(view)}{percent}"
    return " · ".join(part for part in (name, pace, format_value(view), format_counts(view)) if part)


def format_done(view: SplitView) -> str:
    """How many of the records asked for have ended."""
    return f"{view.ended}/{view.total}" if view.total is not None else str(view.ended)


def format_value(view: SplitView) -> str:
    """The main metric so far and what it is divided by; empty before the first record counts."""
    if view.metric is None or view.value is None:
        return ""
    return f"{one_line(view.metric.name)} {figure(view.value, view.metric.unit)} n={view.n:g}"


def format_counts(view: SplitView) -> str:
    """Counts of what is not simply answered and scored; empty for none."""
    named = {
        "to judge": view.waiting,
        "blocked": view.blocked,
        "empty": view.empty,
        "errors": view.errors,
        "unscored": view.unscored,
    }
    return " · ".join(f"{name} {count}" for name, count in named.items() if count)


def format_spending(tally: Tally) -> str:
    """Tokens and money so far; empty if no call reported any."""
    tokens = ""
    if tally.input_tokens or tally.output_tokens:
        tokens = f" · {format_count(tally.input_tokens)} tokens in, {format_count(tally.output_tokens)} out"
    return tokens if tally.cost_usd is None else f"{tokens} · ${tally.cost_usd:.2f}"
