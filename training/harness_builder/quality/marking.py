"""What images look like, worked out once in the life of a build: `work/marks.db`, by the sha256 of their bytes.

Of an image that was stopped nothing stays: its mark is blanked when it is dropped, and what the file may hold of it
besides, where rows were moved, when it is closed.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from harness import Image
from harness.images import open_image
from harness_builder.disk import writing

from .images import ImageMark, mark

_SIGN = 1 << 63  # sqlite's integers are signed


class Marks:
    """The marks that are known. Safe to use from several threads.

    Args:
        folder: `work/` of the build; the caller sees to it that no other process writes there.

    Raises:
        HarnessError: here and in `of`: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._path = folder / "marks.db"
        with writing(self._path):
            self._known = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._known.execute("PRAGMA synchronous=OFF")
            self._known.execute("CREATE TABLE IF NOT EXISTS marks (sha256 TEXT PRIMARY KEY, shape INTEGER, tint BLOB)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with writing(self._path):
                if self._known.execute("PRAGMA user_version").fetchone() != (0,):
                    self._known.execute("VACUUM")
                    self._known.execute("PRAGMA user_version = 0")
        finally:
            self._known.close()

    def drop(self, names: Iterable[str]) -> None:
        """Know no more what these images look like, by their sha256."""
        with self._lock, writing(self._path):
            for setting in ("PRAGMA secure_delete = ON", "BEGIN"):
                self._known.execute(setting)
            gone = self._known.executemany("DELETE FROM marks WHERE sha256 = ?", [(each,) for each in names]).rowcount
            if gone > 0:
                self._known.execute("PRAGMA user_version = 1")  # another build blanks the rest, should this be killed
            self._known.execute("COMMIT")

    def of(self, image: Image) -> ImageMark:
        """What an image looks like. Raises BadImage where it is missing, broken or out of bounds."""
        opened = open_image(image)
        name = opened.opened.sha256
        with self._lock:
            row = self._known.execute("SELECT shape, tint FROM marks WHERE sha256 = ?", (name,)).fetchone()
        if row is not None:
            return ImageMark(shape=None if row[0] is None else row[0] + _SIGN, tint=row[1])
        found = mark(opened)
        shape = None if found.shape is None else found.shape - _SIGN
        with self._lock, writing(self._path):
            self._known.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?)", (name, shape, found.tint))
        return found
