"""Where images lie in a joint space, kept in one file that only grows.

Each row is what an image is known by (16 bytes) and its vector in half precision. A row that a killed build left half
written is cut off when the file is opened; all whole rows count, so nothing is worked out twice. Vectors are read
through the file system's cache and never all at once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from harness_builder.disk import disk_errors

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
_AT_ONCE: Final = 8192  # rows: 16 MB of 512 numbers in single precision


class Vectors:
    """See the module.

    Args:
        file: that is made where it is not there; None for one that is gone afterwards.
        width: of a vector.

    Raises:
        HarnessError: here and in `add`: the disk does not take it.
    """

    def __init__(self, file: Path | None, width: int) -> None:
        self._row = np.dtype([("mark", "V16"), ("vector", "<f2", (width,))])
        self._file = file or _passing(self)
        with disk_errors(self._file):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
        size = self._file.stat().st_size
        os.truncate(self._file, size - size % self._row.itemsize)
        self._at: dict[bytes, int] = {}
        if size >= self._row.itemsize:
            rows = self._rows()
            for start in range(0, len(rows), _AT_ONCE):
                for each in rows["mark"][start : start + _AT_ONCE]:
                    self._at[bytes(each)] = len(self._at)

    def __contains__(self, mark: bytes) -> bool:
        return mark in self._at

    def add(self, marks: Sequence[bytes], vectors: Floats) -> None:
        """Keep vectors: one row each, images that are not kept yet."""
        rows = np.zeros(len(marks), self._row)
        rows["mark"] = np.array(marks, dtype="V16")
        rows["vector"] = vectors
        with disk_errors(self._file), self._file.open("ab") as file:
            file.write(rows.tobytes())
        for mark in marks:
            self._at[mark] = len(self._at)

    def places(self, marks: Iterable[bytes]) -> Places:
        """Where the vectors of these images stand, for `products`."""
        return np.array([self._at[mark] for mark in marks], np.int64)

    def products(self, places: Places, vector: Floats) -> Iterator[Floats]:
        """The scalar product of each vector with this one, in order and a few thousand at a time."""
        if not self._at:
            return
        rows = self._rows()["vector"]
        for start in range(0, len(places), _AT_ONCE):
            yield rows[places[start : start + _AT_ONCE]].astype(np.float32) @ vector

    def _rows(self) -> np.memmap[tuple[int], np.dtype[np.void]]:
        return np.memmap(self._file, dtype=self._row, mode="r")


def _passing(owner: object) -> Path:
    """A file that is deleted with its owner."""
    folder = tempfile.mkdtemp()
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "vectors"
