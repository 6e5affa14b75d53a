"""Records of parquet files, with the images in them left where they are.

    for row in parquet_rows(files, "data/SD-*.parquet"):
        prompt(files.image(row.text("image")), row.text("question"))

A column of images reads as text: the place of the image, which `files.image` takes. So the same code reads a JSON file
that names images in a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import BadData, BadImage, HarnessError, MissingData
from harness.readers.files import DataFiles
from harness.readers.records import Row

if TYPE_CHECKING:
    from harness.readers.cells import Table

INSTALL = "pip install 'vlm-safety-harness[hub]'"


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
    return (row for name in found for row in _rows(files, name))


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


def _rows(files: DataFiles, name: str) -> Iterator[Row]:
    table, faults = _table(files, name)
    try:
        for number, values in enumerate(table.records(name), 1):
            yield Row(values=values, place=f"{name}, record {number}", number=number)
    except faults as fault:
        column = table.culprit()
        what = f"column {column!r}" if column else "the parquet file"
        where = f"{name}, column {column}" if column else name
        raise BadData(f"{what} cannot be read: {_said(fault)}", where=where) from None


def _table(files: DataFiles, name: str) -> tuple[Table, tuple[type[Exception], ...]]:
    """The file, and what reading it can raise."""
    try:
        from harness.readers.cells import FAULTS, open_table
    except ImportError as error:
        raise HarnessError(f"parquet files need the extra `hub`: {error}", where=name, remedy=INSTALL) from error
    try:
        place, size, mtime_ns = files.stamp(name)
        if not Path(place).is_file():
            raise BadData("a parquet file inside an archive is not read", where=place, remedy="unpack the archive")
        return open_table(Path(place), size, mtime_ns), FAULTS
    except (*FAULTS, BadImage) as fault:
        raise BadData(f"the parquet file cannot be read: {_said(fault)}", where=name) from None


def _said(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0] or type(fault).__name__
