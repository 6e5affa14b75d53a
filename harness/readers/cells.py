"""One parquet file: its records without their images, and each image by its place, `column/record` or
`column/record/number` (both count from 1).

Images are read forwards, a few records at a time, and the last ones are kept: whoever asks for them in about the order
of the records has each decoded once, and no more than a few are ever in memory.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Final

from harness.readers.columns import BYTES, ImageColumn, image_columns, plain_columns
from harness.readers.untyped import Untyped, arrow, parquet
from harness.types import Json

Images = tuple[bytes | None, ...]  #: of one record, in order; None where it has none

#: What reading a parquet file can raise; the caller names the file.
FAULTS: Final = (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError)
KEPT_LIMIT: Final = 32 << 20  #: bytes of images kept of all files
_BUFFER: Final = 1 << 20  # bytes read at once; without it a whole row group's column is
_RECORDS: Final = 1024  # taken at once …
_IMAGES: Final = 8  # … and where their images come along
_CELL: Final = re.compile(r"(.+?)/(\d{1,18})(?:/(\d{1,18}))?")


@dataclass(slots=True)
class _Reading:
    """Where in a column the reading stands: the next record and what gives the ones from there on."""

    next: int
    batches: Iterator[Untyped]


class Table:
    """A parquet file; safe to use from several threads. Raises one of FAULTS wherever the file is at fault."""

    def __init__(self, path: Path, mtime_ns: int) -> None:
        self._path = path
        self._stamp = (str(path), mtime_ns)
        self._file = _opened(path)
        self._lock = threading.Lock()
        self._readings: dict[str, _Reading] = {}
        meta, schema = self._file.metadata, self._file.schema
        groups = [meta.row_group(number).num_rows for number in range(meta.num_row_groups)]
        self._starts = list(accumulate(groups, initial=0))
        self._leaves = [schema.column(number).path for number in range(len(schema.names))]
        self.plain = plain_columns(self._file.schema_arrow)
        self.images = {column.name: column for column in image_columns(self._file.schema_arrow, self._leaves)}

    def records(self, name: str) -> Iterator[Mapping[str, Json]]:
        """The records in order: plain values, and for an image its place, `<name>#<column>/<record>`."""
        looked = [column for column in self.images.values() if self._nulls(column) not in (0, self._starts[-1])]
        columns = [*self.plain, *(column.shape for column in looked)]
        size = _IMAGES if any(column.shape == column.data for column in looked) else _RECORDS
        first = 1
        with _opened(self._path) as file:
            for batch in file.iter_batches(batch_size=size, columns=columns, use_threads=False):
                found: list[dict[str, Json]] = batch.select(self.plain).to_pylist() or [{} for _ in range(len(batch))]
                for column in self.images.values():
                    held = self._held(column, batch if column in looked else None, len(batch))
                    for number, (record, there) in enumerate(zip(found, held, strict=True), first):
                        record[column.name] = _place(f"{name}#{column.name}/{number}", there)
                yield from found
                first += len(batch)

    def image(self, cell: str) -> bytes | None:
        """The bytes at `column/record` or `column/record/number`; None where the file has none there."""
        parsed = _CELL.fullmatch(cell)
        column = self.images.get(parsed[1]) if parsed else None
        if parsed is None or column is None:
            return None
        row, number = int(parsed[2]) - 1, int(parsed[3] or 1) - 1
        if not (0 <= row < self._starts[-1] and number >= 0):
            return None
        found = self._record_images(column, row)
        return found[number] if number < len(found) else None

    def column(self, name: str) -> Iterator[Images]:
        """The images of every record, in order and a few at a time; raises KeyError where it is no column of images."""
        column = self.images[name]
        with _opened(self._path) as file:
            for batch in file.iter_batches(batch_size=_IMAGES, columns=[column.data], use_threads=False):
                yield from _images(column, batch.column(0).to_pylist())

    def culprit(self) -> str:
        """The first column that cannot be read to its end; empty when all can."""
        return next((column for column in (*self.plain, *self.images) if not self._readable(column)), "")

    def _readable(self, column: str) -> bool:
        try:
            with _opened(self._path) as file:
                for batch in file.iter_batches(batch_size=_IMAGES, columns=[column], use_threads=False):
                    batch.to_pylist()
        except FAULTS:
            return False
        return True

    def _record_images(self, column: ImageColumn, row: int) -> Images:
        with self._lock:
            kept = _kept.get((*self._stamp, column.name, row))
            if kept is not None:
                return kept
            try:
                return self._read_to(column, row)
            except FAULTS:
                self._readings.pop(column.name, None)  # it has ended where the fault is
                raise

    def _read_to(self, column: ImageColumn, row: int) -> Images:
        start = self._starts[bisect_right(self._starts, row) - 1]
        reading = self._readings.get(column.name)
        if reading is None or not start <= reading.next <= row:
            reading = self._readings[column.name] = _Reading(start, self._batches_from(column, start))
        while True:
            batch = next(reading.batches, None)
            if batch is None:
                raise ValueError("the column holds fewer records than the file says")
            first, rows = reading.next, _images(column, batch.column(0).to_pylist())
            reading.next += len(rows)
            for number, images in enumerate(rows, first):
                _kept.put((*self._stamp, column.name, number), images)
            if row < reading.next:
                return rows[row - first]

    def _batches_from(self, column: ImageColumn, start: int) -> Iterator[Untyped]:
        groups = range(self._starts.index(start), len(self._starts) - 1)
        batches: Iterator[Untyped] = self._file.iter_batches(
            batch_size=_IMAGES, row_groups=list(groups), columns=[column.data], use_threads=False
        )
        return batches

    def _nulls(self, column: ImageColumn) -> int:
        """How many records have no image; -1 where only reading tells."""
        meta, leaf = self._file.metadata, self._leaves.index(column.data)
        chunks = [meta.row_group(number).column(leaf).statistics for number in range(meta.num_row_groups)]
        known = not column.several and all(chunk is not None and chunk.has_null_count for chunk in chunks)
        return sum(chunk.null_count for chunk in chunks) if known else -1

    def _held(self, column: ImageColumn, batch: Untyped, count: int) -> list[Json]:
        """What each record has: True or False, or a list of these; None for no list."""
        if batch is None:
            return [self._nulls(column) == 0] * count
        values = batch.column(column.name).to_pylist()
        if not column.several:
            return [images != (None,) for images in _images(column, values)]
        return [value if value is None else [one is not None for one in value] for value in values]


@lru_cache(maxsize=16)
def open_table(path: Path, _size: int, mtime_ns: int) -> Table:
    """The parquet file at a path; the last ones stay open for as long as they do not change."""
    return Table(path, mtime_ns)


def _opened(path: Path) -> Untyped:
    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _place(place: str, there: Json) -> Json:
    if isinstance(there, bool):
        return place if there else None
    return there and [f"{place}/{number}" if one else None for number, one in enumerate(there, 1)]


def _images(column: ImageColumn, values: list[Json]) -> list[Images]:
    lists = values if column.several else [[value] for value in values]
    return [tuple(_data(column, one) for one in some or ()) for some in lists]


def _data(column: ImageColumn, value: Json) -> bytes | None:
    data: bytes | None = value and value[BYTES] if column.struct else value
    return data


class _Kept:
    """The images that were read last, whichever file they are of."""

    def __init__(self) -> None:
        self._images: OrderedDict[tuple[str, int, str, int], Images] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int, str, int]) -> Images | None:
        with self._lock:
            return self._images.get(key)

    def put(self, key: tuple[str, int, str, int], images: Images) -> None:
        with self._lock:
            self._size += _size(images) - _size(self._images.pop(key, ()))
            self._images[key] = images
            while self._size > KEPT_LIMIT and len(self._images) > 1:
                self._size -= _size(self._images.popitem(last=False)[1])


def _size(images: Images) -> int:
    return sum(len(image or b"") for image in images)


_kept: Final = _Kept()
