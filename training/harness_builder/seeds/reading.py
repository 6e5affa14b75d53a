"""From a source to its seeds, one at a time.

Records are read file by file (parquet a few records at a time), and images are not opened: a seed only says where its
image is. With a limit the seeds are chosen by a hash of their key: the same on every machine and in whatever order the
file has them, and raising the limit keeps what was chosen before.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import Final

from harness import BadData, HarnessError, Image, document, rows
from harness.keys import short
from harness.readers import DataFiles, Row, first_of, parquet_rows
from harness.readers.files import IN_PARQUET
from harness_builder.values import Seed

from .files import Copy, open_copy
from .ids import spelled
from .layouts import PLAIN, Layout, layouts_of, renamed

_OF_TESTS: Final = frozenset({"question", "category", "sub_category", "image_path1", "image_path2"})
_NOTHING: Final = "the record has neither a text nor an image"
_TOKEN: Final = re.compile(r"\s*<image>\s*")  # some sets leave the place of the image in their questions


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSource:
    """Where seeds come from.

    Attributes:
        name: what records of the build call it; a part of each seed's key.
        path: the user's copy: a folder, an archive, a CSV, TSV, JSON, JSONL or parquet file.
        layout: one of LAYOUTS; `plain` for one's own table, `images` for a folder of pictures.
        licence: as its owner states it, in SPDX's spelling; empty for what is known of the layout's set.
        limit: the most seeds; None for all.
        seed: another one makes another choice of as many.
        columns: of a table with other names: `text`, `image`, `category`, `key` -> the column.
    """

    name: str
    path: Path
    layout: str = PLAIN
    licence: str = ""
    limit: int | None = None
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict[str, str])


def read_seeds(source: SeedSource) -> Iterator[Seed]:
    """The seeds of a source, in its own order.

    Raises:
        UnknownName: no layout is called so.
        MissingData: there is nothing at the path.
        BadData: a file cannot be read, lacks a wanted column, or its first record has a value of another kind; of any
            other record that is a seed of which nothing can be made.
        HarnessError: there is no seed in it, or the limit is below 1.
    """
    if source.limit is not None and source.limit < 1:
        raise HarnessError(f"limit={source.limit} leaves no seed", where=source.name, remedy="give 1 or more, or none")
    seeds = _found(source)
    return seeds if source.limit is None else _chosen(seeds, source.limit, source.seed)


def _chosen(seeds: Iterator[Seed], limit: int, seed: int) -> Iterator[Seed]:
    ranked = ((hashlib.sha256(f"{seed}/{each.key}".encode()).digest(), at, each) for at, each in enumerate(seeds))
    lowest = heapq.nsmallest(limit, ranked, key=lambda item: item[:2])
    yield from (each for _, _, each in sorted(lowest, key=lambda item: item[1]))


def _found(source: SeedSource) -> Iterator[Seed]:
    layouts = [renamed(layout, source.columns) for layout in layouts_of(source.layout)]
    copy = open_copy(source.path)
    layout = next((layout for layout in layouts if copy.of(layout)), None)
    if layout is None:
        wanted = ", ".join(pattern for each in layouts for pattern in each.files)
        raise HarnessError(
            f"the source {source.name!r} is empty: no file of the layout {source.layout!r} is there",
            where=str(source.path),
            remedy=f"it looks for {wanted}",
        )
    unnamed, taken = _seeds(copy, layout), dict[str, int]()
    for seed in unnamed:
        yield replace(seed, key=f"{source.name}/{spelled(_distinct(seed.key, taken))}", source=source.name)
    if not taken:
        raise HarnessError(f"the source {source.name!r} is empty: its files hold no record", where=str(source.path))


def _distinct(wanted: str, taken: dict[str, int]) -> str:
    """The id, numbered where it would repeat one: what `harness.distinct` does to a list that is at hand whole."""
    name = wanted
    while name in taken:
        taken[wanted] += 1
        name = f"{wanted}-{taken[wanted]}"
    taken[name] = 1
    return name


def _seeds(copy: Copy, layout: Layout) -> Iterator[Seed]:
    for name in copy.of(layout):
        category = _category_of(name, layout)
        if layout.shape == "pictures":
            yield Seed(key=name, source="", image=copy.files.image(name), category=category)
            continue
        for number, row in enumerate(_records(copy.files, name, layout)):
            if number == 0:
                _check_no_test(row, name)
                _check_columns(row, layout, name)
            try:
                yield from _of_record(copy.files, name, row, layout, category)
            except BadData as fault:
                if number == 0:  # of the first it is likely a slip of the whole file
                    raise
                yield Seed(key=row.place, source="", fault=fault.what)


def _records(files: DataFiles, name: str, layout: Layout) -> Iterator[Row]:
    if name.casefold().endswith(".parquet"):
        yield from parquet_rows(files, name)
    elif layout.shape == "items":
        yield from document(files, name).rows("items")
    elif layout.shape == "keyed":
        whole = document(files, name)
        for key in whole.values:
            record = whole.part(key)
            yield replace(record, values={**record.values, layout.key[0]: key})
    elif files.stamp(name)[1]:  # a file of no byte is no broken JSON, but no record
        yield from rows(files, name)


def _check_no_test(row: Row, name: str) -> None:
    """MIS's own test, and what is built in its layout, under whatever name."""
    if row.values.keys() >= _OF_TESTS:
        what = "the columns are those of the test files of MIS, and no set to train on is built from these"
        raise HarnessError(what, where=name, remedy="leave it out; no option lifts this")


def _check_columns(row: Row, layout: Layout, name: str) -> None:
    """A wanted column that a file lacks is its fault once, not once for each record."""
    groups = [columns for columns in (layout.text, layout.image) if columns]
    plain = layout.name == PLAIN
    missing = [columns for columns in groups if not any(column in row.values for column in columns)]
    if missing and (not plain or len(missing) == len(groups)):
        wanted = " and ".join(" or ".join(repr(column) for column in columns) for columns in missing)
        there = ", ".join(repr(column) for column in row.values) or "none"
        kind = "text" if layout.text in missing else "image"
        yours = json.dumps(next((each for each in row.values if each not in layout.key), "YOURS"), ensure_ascii=False)
        remedy = f"name yours below the source, such as  columns: {{{kind}: {yours}}}"
        raise BadData(f"no column {wanted}; there are: {there}", where=name, remedy=remedy)


def _of_record(files: DataFiles, name: str, row: Row, layout: Layout, category: str) -> Iterator[Seed]:
    text = _TOKEN.sub(" ", _first(row, layout.text)).strip()
    images = _images(row, layout.image)
    key = _key(row, layout, category)
    if not text and not images:
        yield Seed(key=key or row.place, source="", fault=_NOTHING)
        return
    key = key or short([text, images], 16)
    said = _first(row, layout.category) or category
    for place in images or (None,):
        image = None if place is None else _image(files, name, place, layout)
        yield Seed(key=key, source="", text=text, image=image, category=said)


def _first(row: Row, columns: tuple[str, ...]) -> str:
    return row.text(*columns, default="") if columns else ""


def _key(row: Row, layout: Layout, category: str) -> str:
    """What the record calls itself, within its file where files of one name in several folders count from 0 each."""
    own = row.key(*layout.key, default="")
    return f"{category}-{own}" if own and category else own


def _images(row: Row, columns: tuple[str, ...]) -> tuple[str, ...]:
    """What the first of the columns that is there names; null and an empty text name nothing."""
    column = next((column for column in columns if row.has(column)), "")
    if not column:
        return ()
    if isinstance(row.values[column], list):
        return row.texts(column)
    place = row.key(column, default="")
    return (place,) if place else ()


def _image(files: DataFiles, name: str, value: str, layout: Layout) -> Image:
    if IN_PARQUET in value:
        return files.image(value)
    folder = "".join(f"{part}/" for part in PurePosixPath(name).parts[:-1])
    stem, _ = splitext(value)
    places = dict.fromkeys(place.format(folder=folder, value=value, stem=stem) for place in layout.images)
    return first_of(*(files.image(place) for place in places))


def _category_of(name: str, layout: Layout) -> str:
    path = PurePosixPath(name)
    return {"file": path.stem, "folder": path.parent.name}.get(layout.category_of, "")
