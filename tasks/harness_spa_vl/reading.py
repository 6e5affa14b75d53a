"""Reading SPA-VL's test splits from the hub's parquet files, or from JSON records beside a folder of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness import BadData, Image, MissingData, Sample, distinct, open_files, prompt, rows, together
from harness.keys import short
from harness.readers import DataFiles, Row, first_of, image_mark, parquet_rows, parquet_tables

FOLDERS: Final = ("test/", "data/", "")  #: where records and images lie in the copies that are about
NAMES: Final = {"mini": "harm", "mini-help": "help"}  #: a packaged split's file is called as the real one's
_IMAGE_TOKEN: Final = re.compile(r"\s*<image>\s*")
CLASSES: Final = ("class1", "class2", "class3")  #: from the widest to the narrowest


def samples(root: Path, split: str) -> Iterator[Sample]:
    """The samples of one split, those of one image together.

    Raises:
        MissingData: its file is not there.
        BadData: a record lacks its question or the column of images.
    """
    files = open_files(root)
    found = [(row, _image(files, row, shard)) for row, shard in _rows(files, NAMES.get(split, split))]
    names = distinct(row.key("id", default=_digest(row)) for row, _ in found)
    read = [_sample(files, row, image, split, name) for (row, image), name in zip(found, names, strict=True)]
    return together(read, key=lambda sample: sample.cluster)


def question(row: Row) -> str:
    """The question without the image token that some carry.

    Raises:
        BadData: it is missing, or nothing else.
    """
    text = _IMAGE_TOKEN.sub(" ", row.text("question")).strip()
    if not text:
        raise BadData("field 'question' is blank", where=f"{row.place}, field question")
    return text


def _sample(files: DataFiles, row: Row, image: Image, split: str, name: str) -> Sample:
    reference = row.text("reference", "chosen", default="")  # the test splits have none; preference data has `chosen`
    return Sample(
        id=name,
        split=split,
        request=prompt(image, question(row)),
        category=row.text("class1", default=""),
        tags={tag: row.text(tag, default="") for tag in CLASSES[1:]},
        cluster=image_mark(files, image.path),
        target={"reference": reference} if reference else None,
    )


def _digest(row: Row) -> str:
    return short([question(row), *(row.text(name, default="") for name in CLASSES)])


def _rows(files: DataFiles, name: str) -> Iterator[tuple[Row, str]]:
    """The records, each with the parquet file it is from; JSON records with none."""
    tables = parquet_tables(files)
    table = next((table for table in tables if re.fullmatch(rf"(?:.*[/_-])?{name}", table)), "")
    if table:
        return ((row, shard) for shard in tables[table] for row in parquet_rows(files, shard))
    there = [
        path for folder in FOLDERS for path in (f"{folder}{name}.json", f"{folder}{name}.jsonl") if files.has(path)
    ]
    if not there:
        what = f"neither test/{name}-*.parquet nor test/{name}.json is there"
        raise MissingData(what, where=str(files.root))
    return ((row, "") for row in rows(files, *there))


def _image(files: DataFiles, row: Row, shard: str) -> Image:
    """One that is null in a parquet file is a missing image of its sample; a missing column is the file's fault."""
    if shard:
        missing = f"{shard}#image/{row.number}" if "image" in row.values else None
        return files.image(row.text("image", default=missing))
    path = row.text("image")
    places = dict.fromkeys(f"{folder}{images}{path}" for folder in FOLDERS for images in ("", "images/"))
    return first_of(*(files.image(place) for place in places))
