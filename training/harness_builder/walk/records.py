"""What came all the way, `work/records.jsonl`: written as it comes, read in the order of the seeds.

The file is of one walk and made anew by each; in memory there are a number and an offset for each record.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from harness_builder.disk import writing
from harness_builder.values import Subset

from .values import Made

if TYPE_CHECKING:
    from pydantic import TypeAdapter

NAME = "records.jsonl"


class Records:
    """The records of a walk, in order whenever they are read.

    Args:
        folder: `work/` of the build.

    Raises:
        HarnessError: here and in every method: the disk does not take it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        with writing(self.path):
            self._file: BinaryIO = self.path.open("wb")
        self._places: list[tuple[int, int]] = []
        self._end = 0

    def __len__(self) -> int:
        return len(self._places)

    def put(self, number: int, made: Made) -> None:
        """Keep a record of the seed that was walked as the one of this number."""
        line = _adapter().dump_json(made) + b"\n"
        with writing(self.path):
            self._file.write(line)
        self._places.append((number, self._end))
        self._end += len(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.path):
            self._file.close()

    def __iter__(self) -> Iterator[Made]:
        """All of them by the number of their seed, those of one seed as they were put."""
        with writing(self.path):
            self._file.flush()
        with self.path.open("rb") as file:
            for _, offset in sorted(self._places):
                file.seek(offset)
                yield read_made(file.readline())

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
