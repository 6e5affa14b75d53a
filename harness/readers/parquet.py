"""Records of parquet files, with the images in them left where they are.

    for row in parquet_rows(files, "data/SD-*.parquet"):
        prompt(files.image(row.text("image")), row.text("question"))

A column of images reads as text: the place of the image, which `files.image` takes. So the same code reads a JSON file
that names images in a folder. `image_mark` tells which records show the same image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BadData, BadImage, MissingData
from harness.extras import require
from harness.readers.files import IN_PARQUET, DataFiles
from harness.readers.records import Row

if TYPE_CHECKING:
    from harness.readers.cells import Table


def parquet_rows(files: DataFiles, *names: str) -> Iterator[Row]:
    """The records of the first of these files that is there, lazily.

    A name may hold `*` and then stands for all files it matches, in order: the shards of one split. Columns that hold
    neither texts, numbers, lists or objects nor images are left out.

    Raises:
        MissingData: none of them is there.
        BadData: a file or one of its columns cannot be read.
        HarnessError: pyarrow is not installed.
    """
    found = next((matched for name in names if (matched := files.matching(name))), ())
    if not found:
        raise MissingData(f"{' or '.join(names)} is not there", where=str(files.root))
    return (row for name in found for row in _read_rows(files, name))


def parquet_tables(files: DataFiles) -> Mapping[str, tuple[str, ...]]:
    """All parquet files of the folder, by the table they are the shards of, in order.

    The table `data/Fraud/SD` is that file, or `data/Fraud/SD-00000-of-00002` and the next, or the numbered files of a
    folder `data/Fraud/SD`, as the hub's own conversion has them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in files.matching("**/*.parquet"):
        table = re.sub(r"(-\d+-of-\d+|/\d+)?\.parquet$", "", name)
        found[table] = (*found.get(table, ()), name)
    return found


def _read_rows(files: DataFiles, name: str) -> Iterator[Row]:
    table, faults = _open_table(files, name)
    try:
        for number, values in enumerate(table.records(name), 1):
            yield Row(values=values, place=f"{name}, record {number}", number=number)
    except faults as fault:
        column = table.find_broken_column()
        what = f"column {column!r}" if column else "the parquet file"
        where = f"{name}, column {column}" if column else name
        raise BadData(f"{what} cannot be read: {_first_line(fault)}", where=where) from None


def _open_table(files: DataFiles, name: str) -> tuple[Table, tuple[type[Exception], ...]]:
    """The file, and the errors that reading it can raise."""
    with require("hub", by="a parquet file", where=name):
        from harness.readers.cells import FAULTS, open_table
    try:
        place, size, mtime_ns = files.stamp(name)
        if not Path(place).is_file():
            raise BadData("a parquet file inside an archive is not read", where=place, remedy="unpack the archive")
        return open_table(Path(place), size, mtime_ns), FAULTS
    except (*FAULTS, BadImage) as fault:
        raise BadData(f"the parquet file cannot be read: {_first_line(fault)}", where=name) from None


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0] or type(fault).__name__


def image_mark(files: DataFiles, place: str) -> str:
    """A text that all records of one image share, and no record of another image.

    An image that a data file names is known by its path, so listing opens nothing. One in a parquet file is known by a
    hash of its bytes: each column is read once, a few images at a time, and nothing is decoded.

    Args:
        files: of the data root.
        place: of the image, as `files.image` takes it: a path, or a place in a parquet file.

    Returns:
        The path; for a place in a parquet file `sha256:…` of the bytes there, or the place where they cannot be read.
    """
    table, found, cell = place.partition(IN_PARQUET)
    if not found:
        return place
    column, *numbers = cell.split("/")
    try:
        name, size, mtime_ns = files.stamp(f"{table}{IN_PARQUET[:-1]}")
        record, number = (int(text) for text in (*numbers, "1")[:2])
        return _hash_column(name, size, mtime_ns, column)[record, number]
    except (BadImage, ValueError, KeyError):
        return place


@lru_cache(maxsize=64)
def _hash_column(name: str, size: int, mtime_ns: int, column: str) -> Mapping[tuple[int, int], str]:
    """Marks by record and number, up to the first record that cannot be read; the last columns are remembered."""
    from hashlib import sha256

    from harness.readers.cells import FAULTS, open_table

    marks: dict[tuple[int, int], str] = {}
    try:
        for record, images in enumerate(open_table(Path(name), size, mtime_ns).column(column), 1):
            known = ((number, image) for number, image in enumerate(images, 1) if image)
            marks |= {(record, number): f"sha256:{sha256(image).hexdigest()}" for number, image in known}
    except FAULTS:
        pass  # opening such an image says what is wrong with it
    return marks
