"""The live table of a run on a terminal: one row per split, redrawn four times a second by rich's own thread.

Events only raise counters; the drawing thread reads them. A count may be one event old, never wrong in the end, because
the last frame is drawn after the last event.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.board.display import format_duration as duration
from harness.progress.lines import Clock, CountingProgress, format_counts, format_done, format_spending, format_value
from harness.text import one_line

_ROOM_FOR_BARS = 100  #: columns below which a bar would break names and numbers


class LiveProgress(CountingProgress):
    """Redraws on stderr; notes, and what others write to stderr, scroll above the table."""

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic, console: Console | None = None) -> None:
        super().__init__(clock)
        self._start = clock()
        self._console = console or Console(file=stream, highlight=False)
        # stdout is left alone: it carries results
        self._live = Live(
            console=self._console, get_renderable=self.picture, refresh_per_second=4, redirect_stdout=False
        )

    def __enter__(self) -> Self:
        """Start the drawing thread."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Draw the last state and leave it on the screen."""
        self._live.stop()

    def note(self, text: str) -> None:
        """Print it above the table."""
        self._console.print(Text(one_line(text)))

    def picture(self) -> RenderableType:
        """The table as it is now."""
        now = self._clock()
        bars = self._console.width >= _ROOM_FOR_BARS
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(style="bold", overflow="fold")
        for style in (None, None, "cyan"):
            table.add_column(justify="right", no_wrap=True, style=style)
        table.add_column(no_wrap=True)
        table.add_column(style="yellow")
        views = self.tally.views(now)
        for view in views:
            known = view.fraction is not None
            bar = ProgressBar(total=1.0 if known else None, completed=view.fraction or 0, pulse=not known, width=16)
            ended = view.remaining == 0
            pace = "" if ended else f"{view.rate:.1f}/s"
            left = "" if ended or view.remaining is None else duration(view.remaining)
            texts = (one_line(view.name), format_done(view), pace, left, format_value(view), format_counts(view))
            table.add_row(bar if bars else "", *map(Text, texts))
        foot = format_spending(self.tally) if views else " · starting"
        return Group(table, Text(f"{duration(now - self._start)}{foot}", style="dim"))
