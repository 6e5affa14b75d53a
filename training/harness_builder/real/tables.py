"""Photographs of an index in parquet: their bytes stand in it, or it names files that lie here.

An address is never followed. A row whose photograph is not on this machine is counted, and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from harness import BadImage
from harness.readers import DataFiles, Row, parquet_rows
from harness.readers.files import IN_PARQUET

from .fields import first, said
from .found import Found, Lost

_IMAGE: Final = ("image", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes")
_PATH: Final = ("path", "file_name", "image_path", "filepath", "local_path")
COLUMNS: Final = (*_IMAGE, *_PATH)


def names_images(files: DataFiles, name: str) -> bool:
    """Whether an index holds images or names files; one of addresses alone does neither."""
    row = next(parquet_rows(files, name), None)
    return row is not None and any(column.casefold() in COLUMNS for column in row.values)


def listed(files: DataFiles, name: str) -> Iterator[Found | Lost]:
    """The photographs of an index.

    Raises:
        BadData: it cannot be read.
        HarnessError: what reads it is not installed.
    """
    _, size, changed = files.stamp(name)
    for row in parquet_rows(files, name):
        yield _photograph(files, name, row, f"{size} {changed}")


def _photograph(files: DataFiles, name: str, row: Row, stamp: str) -> Found | Lost:
    folded = {column.casefold(): value for column, value in row.values.items()}
    wanted = first(folded, COLUMNS)
    if IN_PARQUET in wanted:
        return Found(place=wanted, image=files.image(wanted), stamp=stamp, said=said(row.values))
    beside = (PurePosixPath(name).parent / wanted).as_posix()
    place = next((each for each in (wanted, beside) if wanted and files.has(each)), "")
    if not place:
        return "absent"
    try:
        _, size, changed = files.stamp(place)
    except BadImage:
        return "unreadable"
    return Found(place=place, image=files.image(place), stamp=f"{size} {changed}", said=said(row.values))
