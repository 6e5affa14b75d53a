"""One parquet file: its records without their images, and each image by its place, `column/record` or
`column/record/number` (both count from 1).

Images are read forwards, a few records at a time, and the last ones are kept: a caller that asks for them in about the
order of the records has each decoded once, and no more than a few are ever in memory. A column of images holds bytes,
the hub's struct of `bytes` and `path`, or lists of either; the bytes are not read to list the records.
"""

from __future__ import annotations

import importlib
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

from harness.extras import Untyped
from harness.readers.places import PARQUET_CELL
from harness.types import Json

arrow: Untyped = importlib.import_module("pyarrow")
parquet: Untyped = importlib.import_module("pyarrow.parquet")

BYTES: Final = "bytes"  #: the field of the hub's struct that holds an image
Images = tuple[bytes | None, ...]  #: of one record, in order; None for a null

#: What reading a parquet file can raise; the caller names the file.
FAULTS: Final = (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError)
KEPT_LIMIT: Final = 32 << 20  #: bytes of images kept of all files
_BUFFER: Final = 1 << 20  # bytes read at once; without it a whole row group's column is
_RECORDS: Final = 1024  # taken at once …
_IMAGES: Final = 8  # … and where their images come along


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageColumn:
    """A column of images.

    Attributes:
        name: of the column.
        data: the leaf that holds the bytes, by its path in the file.
        shape: a leaf that says how many images each record has and which are null; the smallest one that does.
        several: each record holds a list of images.
        struct: an image is the hub's struct, not bare bytes.
    """

    name: str
    data: str
    shape: str
    several: bool
    struct: bool


def find_image_columns(schema: Untyped, leaves: list[str]) -> list[ImageColumn]:
    """The columns of images.

    Args:
        schema: of the file, as Arrow sees it.
        leaves: path of every leaf in the file, such as `images.list.element.bytes`.
    """
    found: list[ImageColumn] = []
    for field in schema:
        several = _is_list(field.type)
        kind = field.type.value_type if several else field.type
        types = arrow.types
        struct: bool = types.is_struct(kind) and kind.get_field_index(BYTES) >= 0
        data_kind = kind.field(BYTES).type if struct else kind
        if not any(test(data_kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)):
            continue
        own = [leaf for leaf in leaves if leaf == field.name or leaf.startswith(f"{field.name}.")]
        data = next(leaf for leaf in own if not struct or leaf.endswith(f".{BYTES}"))
        names = [leaf for leaf in own if struct and several and leaf.endswith(".path")]
        shape = names[0] if names else data
        found.append(ImageColumn(name=field.name, data=data, shape=shape, several=several, struct=struct))
    return found


def _is_plain(kind: Untyped) -> bool:
    """Whether values are texts, numbers, truth values, nulls, or lists and objects of these."""
    types = arrow.types
    if _is_list(kind) or types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if types.is_struct(kind):
        return all(_is_plain(kind.field(number).type) for number in range(kind.num_fields))
    tests = (types.is_string, types.is_large_string, types.is_boolean, types.is_integer, types.is_floating)
    return types.is_null(kind) or any(test(kind) for test in tests)


def _is_list(kind: Untyped) -> bool:
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


@dataclass(slots=True)
class _Cursor:
    """A column that is read forwards: the number of the next record, and the batches from there on."""

    next: int
    batches: Iterator[Untyped]


class Table:
    """A parquet file; safe to use from several threads. Raises one of FAULTS wherever the file is at fault."""

    def __init__(self, path: Path, mtime_ns: int) -> None:
        self._path = path
        self._stamp = (str(path), mtime_ns)
        self._file = _open(path)
        self._lock = threading.Lock()
        self._cursors: dict[str, _Cursor] = {}
        meta, schema = self._file.metadata, self._file.schema
        groups = [meta.row_group(number).num_rows for number in range(meta.num_row_groups)]
        self._starts = list(accumulate(groups, initial=0))
        self._leaves = [schema.column(number).path for number in range(len(schema.names))]
        self.plain: list[str] = [field.name for field in self._file.schema_arrow if _is_plain(field.type)]
        self.images = {column.name: column for column in find_image_columns(self._file.schema_arrow, self._leaves)}

    def records(self, name: str) -> Iterator[Mapping[str, Json]]:
        """The records in order: plain values, and for an image its place, `<name>#<column>/<record>`."""
        # Only columns with and without images in them need a look at each record.
        mixed = [column for column in self.images.values() if self._count_nulls(column) not in (0, self._starts[-1])]
        columns = [*self.plain, *(column.shape for column in mixed)]
        size = _IMAGES if any(column.shape == column.data for column in mixed) else _RECORDS
        first = 1
        with _open(self._path) as file:
            for batch in file.iter_batches(batch_size=size, columns=columns, use_threads=False):
                found: list[dict[str, Json]] = batch.select(self.plain).to_pylist() or [{} for _ in range(len(batch))]
                for column in self.images.values():
                    present = self._find_present(column, batch if column in mixed else None, len(batch))
                    for number, (record, there) in enumerate(zip(found, present, strict=True), first):
                        place = f"{name}#{column.name}/{number}"
                        if isinstance(there, bool):
                            record[column.name] = place if there else None
                        else:
                            places = enumerate(there or (), 1)
                            record[column.name] = there and [f"{place}/{at}" if one else None for at, one in places]
                yield from found
                first += len(batch)

    def image(self, cell: str) -> bytes | None:
        """The bytes at `column/record` or `column/record/number`; None if the file has no image there."""
        parsed = re.fullmatch(PARQUET_CELL, cell)
        column = self.images.get(parsed[1]) if parsed else None
        if parsed is None or column is None:
            return None
        row, number = int(parsed[2]) - 1, int(parsed[3] or 1) - 1
        if not (0 <= row < self._starts[-1] and number >= 0):
            return None
        with self._lock:
            found = _cache.get((*self._stamp, column.name, row))
            if found is None:
                try:
                    found = self._read_to(column, row)
                except FAULTS:
                    self._cursors.pop(column.name, None)  # its batches end at the fault
                    raise
        return found[number] if number < len(found) else None

    def column(self, name: str) -> Iterator[Images]:
        """The images of every record, in order and a few at a time; raises KeyError for another column."""
        column = self.images[name]
        with _open(self._path) as file:
            for batch in file.iter_batches(batch_size=_IMAGES, columns=[column.data], use_threads=False):
                yield from _read_batch(column, batch.column(0).to_pylist())

    def find_broken_column(self) -> str:
        """The first column that cannot be read to its end; empty when all can."""
        for column in (*self.plain, *self.images):
            try:
                with _open(self._path) as file:
                    for batch in file.iter_batches(batch_size=_IMAGES, columns=[column], use_threads=False):
                        batch.to_pylist()
            except FAULTS:
                return column
        return ""

    def _read_to(self, column: ImageColumn, row: int) -> Images:
        """The images of a record; those on the way to it are kept, and so is the place for the next one."""
        start = self._starts[bisect_right(self._starts, row) - 1]
        cursor = self._cursors.get(column.name)
        if cursor is None or not start <= cursor.next <= row:
            groups = list(range(self._starts.index(start), len(self._starts) - 1))
            batches: Iterator[Untyped] = self._file.iter_batches(
                batch_size=_IMAGES, row_groups=groups, columns=[column.data], use_threads=False
            )
            cursor = self._cursors[column.name] = _Cursor(start, batches)
        while True:
            batch = next(cursor.batches, None)
            if batch is None:
                raise ValueError("the column holds fewer records than the file says")
            first, rows = cursor.next, _read_batch(column, batch.column(0).to_pylist())
            cursor.next += len(rows)
            for number, images in enumerate(rows, first):
                _cache.put((*self._stamp, column.name, number), images)
            if row < cursor.next:
                return rows[row - first]

    def _count_nulls(self, column: ImageColumn) -> int:
        """How many records have no image; -1 where only reading them shows it."""
        meta, leaf = self._file.metadata, self._leaves.index(column.data)
        chunks = [meta.row_group(number).column(leaf).statistics for number in range(meta.num_row_groups)]
        known = not column.several and all(chunk is not None and chunk.has_null_count for chunk in chunks)
        return sum(chunk.null_count for chunk in chunks) if known else -1

    def _find_present(self, column: ImageColumn, batch: Untyped, count: int) -> list[Json]:
        """Whether each record has an image: True or False, or a list of these; None for no list."""
        if batch is None:
            return [self._count_nulls(column) == 0] * count
        values = batch.column(column.name).to_pylist()
        if not column.several:
            return [images != (None,) for images in _read_batch(column, values)]
        return [value if value is None else [one is not None for one in value] for value in values]


@lru_cache(maxsize=16)
def open_table(path: Path, _size: int, mtime_ns: int) -> Table:
    """The parquet file at a path; the last ones stay open for as long as they do not change."""
    return Table(path, mtime_ns)


def _open(path: Path) -> Untyped:
    return parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)


def _read_batch(column: ImageColumn, values: list[Json]) -> list[Images]:
    lists = values if column.several else [[value] for value in values]
    return [tuple((one and one[BYTES]) if column.struct else one for one in some or ()) for some in lists]


class _ImageCache:
    """The images that were read last, of all files."""

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


_cache: Final = _ImageCache()
