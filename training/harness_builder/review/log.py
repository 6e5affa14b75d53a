"""The file of one reviewer: JSON lines that are only ever appended, but for what a hard stop takes.

Invariants: a line is one `write`, made safe on disk before the reviewer is told so; a line that was begun and not ended
is cut before the next one; of a candidate the last line counts. Each write looks first at what others have added, so
two servers over one folder do no harm. In the place of what is struck stands as long a line that takes it back: whoever
has read the file goes on where they were.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from harness.errors import BadData, HarnessError
from harness.store.journal import encoded, replace

from .entries import Answered, Entry, LeftOut, Skipped, Undone, entry, line

_PATIENCE: Final = 10.0  # seconds until another writer has had its turn


class Past:
    """What the lines of a file come to.

    Attributes:
        current: what stands of each candidate, the one that was said last at the end.
        first: what was answered first of each, by key and by what was shown: before the reviewer could know what the
            model thinks of it.
        left_out: categories.
        undone: the candidate of which something was taken back last, and nothing was said since; else empty.
    """

    def __init__(self) -> None:
        self.current: dict[str, Answered | Skipped] = {}
        self.first: dict[tuple[str, str], Answered] = {}
        self.left_out: tuple[str, ...] = ()
        self.undone = ""

    def copy(self) -> Past:
        """The same, untouched by what comes later."""
        made = Past()
        made.current, made.first, made.left_out = dict(self.current), dict(self.first), self.left_out
        made.undone = self.undone
        return made

    def take(self, entry: Entry) -> None:
        """Add what one line says."""
        if isinstance(entry, LeftOut):
            self.left_out = entry.categories
            return
        self.current.pop(entry.key, None)
        self.undone = entry.key if isinstance(entry, Undone) else ""
        if not isinstance(entry, Undone):
            self.current[entry.key] = entry
        if isinstance(entry, Answered):
            self.first.setdefault((entry.key, entry.shown), entry)


class ReviewLog:
    """One reviewer's file; made with its first line."""

    def __init__(self, path: Path, reviewer: str) -> None:
        self.path = path
        self.reviewer = reviewer
        self._turn = threading.Lock()
        self._past, self._end, self._lines = Past(), 0, 0

    def past(self) -> Past:
        """What stands now. Raises BadData for a whole line that is none of ours."""
        with self._turn:
            self._grow()
            return self._past.copy()

    def append(self, entry: Entry, allowed: Callable[[Past], None]) -> None:
        """Write a line.

        Args:
            entry: to be written.
            allowed: looks at all that stands, others' writes too, and raises where the line would be wrong.

        Raises:
            HarnessError: the file cannot be written; it then ends as before.
        """
        with self._turn, self._alone():
            self._grow()
            allowed(self._past)
            data = encoded(line(entry, self.reviewer), self.path)
            try:
                self._write(data)
            except OSError as error:
                raise HarnessError(f"cannot write: {error.strerror}", where=str(self.path)) from error
            self._end += len(data)
            self._lines += 1
            self._past.take(entry)

    def strike(self, key: str) -> None:
        """Take back whatever was said of a candidate, and leave no byte of its words.

        Raises:
            HarnessError: the file cannot be written; it is then as before.
        """
        with self._turn, self._alone():
            if not self.path.exists():
                return
            try:
                whole, newline, _ = self.path.read_bytes().rpartition(b"\n")
                every = (self._struck(each, key) for each in (whole + newline).splitlines(keepends=True))
                replace(self.path, b"".join(every).decode("utf-8", "backslashreplace"))
            except OSError as error:
                raise HarnessError(f"cannot write: {error.strerror}", where=str(self.path)) from error
            self._past, self._end, self._lines = Past(), 0, 0

    def _struck(self, each: bytes, key: str) -> bytes:
        try:
            said = entry(json.loads(each), self.reviewer)
        except ValueError:
            return each
        if not isinstance(said, Answered) or said.key != key:
            return each
        data = encoded(line(Undone(key=key, at=said.review.at), self.reviewer), self.path)
        return data.rstrip(b"\n").ljust(len(each) - 1) + b"\n"

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.ftruncate(descriptor, self._end)
            _put(descriptor, data)
        except OSError:
            os.ftruncate(descriptor, self._end)
            raise
        finally:
            os.close(descriptor)

    def _grow(self) -> None:
        """Take in the whole lines that were added since."""
        if not self.path.exists():
            self._past, self._end, self._lines = Past(), 0, 0
            return
        with self.path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._end:  # changed by another hand
                self._past, self._end, self._lines = Past(), 0, 0
            file.seek(self._end)
            for each in file:
                if not each.endswith(b"\n"):
                    break
                self._past.take(self._read(each))
                self._end += len(each)
                self._lines += 1

    def _read(self, each: bytes) -> Entry:
        try:
            return entry(json.loads(each), self.reviewer)
        except ValueError as error:
            where = f"{self.path}, line {self._lines + 1}"
            raise BadData(f"this is no line of a review: {error}", where=where, remedy="mend or remove it") from None

    @contextmanager
    def _alone(self) -> Generator[None]:
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=_PATIENCE)
        except Timeout:
            raise HarnessError("another process holds these reviews", where=str(self.path)) from None
        except OSError as error:
            raise HarnessError(f"cannot write: {error.strerror}", where=str(self.path)) from error
        try:
            yield
        finally:
            lock.release()


def _put(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(descriptor)
