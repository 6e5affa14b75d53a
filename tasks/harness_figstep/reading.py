"""Reading FigStep's tables, and where the image or the pieces of an image of each record lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness import BadData, Image, Sample, Settings, distinct, open_files, prompt, rows
from harness.readers import DataFiles, Row, first_of

from .wording import SENTENCE, wording

BASES: Final = (
    "data/",
    "",
    "FigStep-main/data/",
)  #: of the repository, of its data folder alone, of an unpacked archive
TABLES: Final = {"tiny": "SafeBench-Tiny", "pro": "SafeBench-Tiny"}
IMAGES: Final = {"tiny": "SafeBench-Tiny", "pro": "FigStep-Pro"}
SENTENCES: Final = "benign_sentences_without_harmful_phase"
#: How many pieces the image of each record of `pro` was cut into: known, so that a lost piece is missed.
PIECES: Final = "34464344347343434734433334333333433344344333443343"
FIRST_ADVICE: Final = 8  #: categories from here on are topics of advice


def samples(root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """The samples of one split.

    Raises:
        MissingData: a table is not there, or upstream's words are not.
        BadData: a record lacks a field; `pro` has another number of lines than of records.
    """
    files = open_files(root)
    found = _rows(files, TABLES.get(split, "safebench"))
    text = wording(split, settings, root).text
    lines = _lines(files, len(found)) if split == "pro" else [""] * len(found)
    folders = [open_files(root / base / "images" / _folder(split)) for base in BASES]
    names = distinct(f"{row.key('category_id')}_{row.key('task_id')}" for row in found)
    return (
        Sample(
            id=name,
            split=split,
            request=prompt(*_images(files, folders, split, row), text.replace(SENTENCE, line)),
            category=row.text("category_name"),
            tags={"topic": "advice" if int(row.key("category_id")) >= FIRST_ADVICE else "harm"},
            target={"intent": row.text("question"), "instruction": row.text("instruction")},
        )
        for row, name, line in zip(found, names, lines, strict=True)
    )


def _rows(files: DataFiles, table: str) -> tuple[Row, ...]:
    found = rows(files, *(f"{base}question/{table}.csv" for base in BASES))
    for row in found:  # checked before the first sample is given
        for field in ("category_name", "question", "instruction"):
            row.text(field)
        for field in ("category_id", "task_id"):
            if not row.key(field).isdecimal():
                raise BadData(f"field {field!r} is no number", where=f"{row.place}, field {field}")
    return found


def _lines(files: DataFiles, records: int) -> list[str]:
    """The first line of each record's prompt in `pro`, by its place in the table."""
    found = [row.text("sentence") for row in rows(files, *(f"{base}question/{SENTENCES}.csv" for base in BASES))]
    if len(found) != records or records > len(PIECES):
        what = f"{len(found)} lines for {records} records; each record has one, and there are at most {len(PIECES)}"
        raise BadData(what, where=f"{SENTENCES}.csv")
    return found


def _images(files: DataFiles, folders: list[DataFiles], split: str, row: Row) -> Iterator[Image]:
    """The record's image or pieces, in their order: in their folder, or in an archive in it."""
    for name in _names(split, row):
        plain = (files.image(f"{base}images/{_folder(split)}/{name}") for base in BASES)
        yield first_of(*plain, *(folder.image(name) for folder in folders))


def _names(split: str, row: Row) -> list[str]:
    if split != "pro":
        return [f"query_ForbidQI_{row.key('category_id')}_{row.key('task_id')}_6.png"]
    number = row.number - 1
    return [f"image_{number}_splits/image_{number}_split_{piece}.png" for piece in range(int(PIECES[number]))]


def _folder(split: str) -> str:
    return IMAGES.get(split, "SafeBench")
