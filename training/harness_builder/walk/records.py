"""What came all the way, `work/records.jsonl`: written as it comes, read in the order of the seeds.

The file is of one walk and made anew by each; in memory there are a number and an offset for each record, and the one
that was read last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self, overload

from harness_builder.disk import writing
from harness_builder.values import Subset

from .values import Made

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NAME = "records.jsonl"


class Records(Sequence[Made]):
    """The records of a walk, in the order of their seeds, those of one seed as they were put.

    Args:
        folder: `work/` of the build.

    Raises:
        HarnessError: here and in every method: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        with writing(self.path):
            self._file: BinaryIO = self.path.open("w+b")
        self._places: list[tuple[int, int]] = []
        self._sorted = True
        self._end = 0
        self._last: tuple[int, Made] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def put(self, number: int, made: Made) -> None:
        """Keep a record of the seed that was walked as the one of this number."""
        line = _adapter().dump_json(made) + b"\n"
        with writing(self.path):
            self._file.write(line)
        self._places.append((number, self._end))
        self._end += len(line)
        self._sorted, self._last = False, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.path):
            self._file.close()

    @overload
    def __getitem__(self, at: int) -> Made: ...
    @overload
    def __getitem__(self, at: slice) -> list[Made]: ...
    def __getitem__(self, at: int | slice) -> Made | list[Made]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        if self._last is None or self._last[0] != at:
            self._last = at, self._read(at)
        return self._last[1]

    def _read(self, at: int) -> Made:
        if not self._sorted:
            self._places.sort()
            self._sorted = True
        _, offset = self._places[at]
        with writing(self.path):
            self._file.seek(offset)
            line = self._file.readline()
            self._file.seek(0, os.SEEK_END)
        return read_made(line)

    def of(self, *subsets: Subset) -> Iterator[Made]:
        """Those of some subsets."""
        return (made for made in self if made.sorted.subset in subsets)


def read_made(line: bytes) -> Made:
    """One line of the file. Raises ValueError for any other."""
    return _adapter().validate_json(line)


@cache
def _adapter() -> TypeAdapter[Made]:
    from pydantic import TypeAdapter

    return TypeAdapter(Made)
