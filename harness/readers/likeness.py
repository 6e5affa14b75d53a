"""Which samples of a data set belong together: by what they ask, or by the image that they show.

    cluster=normalised(row.text("question"))
    cluster=image_mark(files, row.text("image"))

An image that a data file names is known by its path, so that listing opens nothing. One that lies in a parquet file is
known by a hash of its bytes: each column is read once, a few images at a time, and nothing is decoded.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from harness.errors import BadImage
from harness.readers.files import IN_PARQUET, DataFiles


def normalised(question: str) -> str:
    """The text two askings of one question share: NFKC, casefold, single spaces, no final punctuation."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", question).casefold())
    text = " ".join(text.split())
    bare = text
    while bare and (bare[-1].isspace() or unicodedata.category(bare[-1]).startswith("P")):
        bare = bare[:-1]
    return bare or text


def image_mark(files: DataFiles, place: str) -> str:
    """What all records of one image share, and no record of another image.

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
        return _marks(name, size, mtime_ns, column)[record, number]
    except (BadImage, ValueError, KeyError):
        return place


@lru_cache(maxsize=64)
def _marks(name: str, size: int, mtime_ns: int, column: str) -> Mapping[tuple[int, int], str]:
    """By record and number, up to the first record that cannot be read; those of the last columns are remembered."""
    from hashlib import sha256

    from harness.readers.cells import FAULTS, open_table

    marks: dict[tuple[int, int], str] = {}
    try:
        for record, images in enumerate(open_table(Path(name), size, mtime_ns).column(column), 1):
            known = ((number, image) for number, image in enumerate(images, 1) if image)
            marks |= {(record, number): f"sha256:{sha256(image).hexdigest()}" for number, image in known}
    except FAULTS:
        pass  # whoever opens such an image is told what is wrong with it
    return marks
