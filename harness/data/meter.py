"""How far a download is, on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY: Final = 5.0  #: seconds between two lines


def spelled(size: float) -> str:
    """Bytes as a person reads them: `812 B`, `5.9 GB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} B"


class Meter:
    """Counts bytes of one download at a time; `add` may be called from several threads."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._what, self._total, self._done, self._new = "", 0, 0, 0
        self._began = self._told = 0.0

    @contextmanager
    def of(self, what: str, total: int | None = None) -> Generator[None]:
        """Count what comes inside.

        Args:
            what: shown before the numbers.
            total: bytes; None when they are not known.
        """
        self._what, self._total, self._done, self._new = what, total or 0, 0, 0
        self._began = self._told = self._clock()
        with self._shown():
            yield

    def add(self, size: int, *, here: bool = False) -> None:
        """Count bytes; `here` says that they were on this machine already, so that they are no speed."""
        with self._lock:
            self._done += size
            self._new += 0 if here else size
            self._show()

    def expect(self, total: int) -> None:
        """Bytes of it all, once they are known."""
        with self._lock:
            self._total = total

    def tell(self, line: str) -> None:
        """Say something beside the numbers."""
        print(line, file=self._stream, flush=True)

    def text(self) -> str:
        """What is known now, on one line."""
        seconds = self._clock() - self._began
        whole = f" of {spelled(self._total)}" if self._total else ""
        rate = f", {spelled(self._new / seconds)}/s" if seconds > 0 and self._new else ""
        return f"{self._what}: {spelled(self._done)}{whole}{rate}"

    @contextmanager
    def _shown(self) -> Generator[None]:
        yield

    def _show(self) -> None:
        now = self._clock()
        if now - self._told >= EVERY:
            self._told = now
            print(self.text(), file=self._stream, flush=True)


class LiveMeter(Meter):
    """The same as a bar that is redrawn."""

    _bar: Progress | None = None
    _task: TaskID

    def tell(self, line: str) -> None:
        """Say something above the bar."""
        if self._bar is None:
            super().tell(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def _shown(self) -> Generator[None]:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=Console(file=self._stream), transient=True) as self._bar:
                self._task = self._bar.add_task(self._what, total=self._total or None)
                yield
        finally:
            self._bar = None

    def _show(self) -> None:
        assert self._bar is not None, "add is called inside `of`"
        self._bar.update(self._task, completed=self._done, total=self._total or None)


def meter(stream: TextIO) -> Meter:
    """The one that fits the stream."""
    return LiveMeter(stream) if stream.isatty() else Meter(stream)
