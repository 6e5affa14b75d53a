"""Seeds: the texts and images that a build takes its ideas from, read out of the user's own copies, one at a time.

Records are read file by file (parquet a few records at a time), and images are not opened: a seed only says where its
image is. With a limit the seeds are chosen by a hash of their key: the same on every machine and in whatever order the
file has them, and raising the limit keeps what was chosen before.

A `#` in a key separates the seed from the number of its element, so it is escaped in the id that a seed has in its
source.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from posixpath import splitext
from typing import Final

from harness import BadData, HarnessError, Image, MissingData, document, open_files, rows
from harness.keys import short
from harness.readers import DataFiles, Row, first_of, parquet_rows
from harness.readers.archives import FAULTS, open_archive, suffix
from harness.readers.files import IN_PARQUET
from harness_builder.seed_layouts import LAYOUTS as LAYOUTS
from harness_builder.seed_layouts import PLAIN, Layout, find_layouts, rename_columns
from harness_builder.values import Seed

_TEST_COLUMNS: Final = frozenset({"question", "category", "sub_category", "image_path1", "image_path2"})
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
        UnknownName: the layout is unknown.
        MissingData: there is nothing at the path.
        BadData: a file cannot be read, lacks a wanted column, or its first record has a value of another kind; of any
            other record that is a seed of which nothing can be made.
        HarnessError: there is no seed in it, or the limit is below 1.
    """
    if source.limit is not None and source.limit < 1:
        raise HarnessError(f"limit={source.limit} leaves no seed", where=source.name, remedy="give 1 or more, or none")
    seeds = _read_all(source)
    return seeds if source.limit is None else _choose(seeds, source.limit, source.seed)


def escape_id(own: str) -> str:
    """The id of a seed as it stands in a key; no two ids become alike."""
    return own.replace("%", "%25").replace("#", "%23")


def unescape_key(key: str) -> str:
    """A key with its ids as their source has them, which may be that of another key as well."""
    return key.replace("%23", "#").replace("%25", "%")


def _choose(seeds: Iterator[Seed], limit: int, seed: int) -> Iterator[Seed]:
    ranked = ((hashlib.sha256(f"{seed}/{each.key}".encode()).digest(), at, each) for at, each in enumerate(seeds))
    lowest = heapq.nsmallest(limit, ranked, key=lambda item: item[:2])
    yield from (each for _, _, each in sorted(lowest, key=lambda item: item[1]))


def _read_all(source: SeedSource) -> Iterator[Seed]:
    layouts = [rename_columns(layout, source.columns) for layout in find_layouts(source.layout)]
    copy = _open_copy(source.path)
    layout = next((layout for layout in layouts if copy.select(layout)), None)
    if layout is None:
        wanted = ", ".join(pattern for each in layouts for pattern in each.files)
        raise HarnessError(
            f"the source {source.name!r} is empty: no file of the layout {source.layout!r} is there",
            where=str(source.path),
            remedy=f"it looks for {wanted}",
        )
    taken: dict[str, int] = {}  # id -> how many records have it so far, as `harness.distinct` counts a whole list
    for name in copy.select(layout):
        for seed in _read_file(copy.files, name, layout):
            own = seed.key
            while own in taken:
                taken[seed.key] += 1
                own = f"{seed.key}-{taken[seed.key]}"
            taken[own] = 1
            yield replace(seed, key=f"{source.name}/{escape_id(own)}", source=source.name)
    if not taken:
        raise HarnessError(f"the source {source.name!r} is empty: its files hold no record", where=str(source.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """The user's copy of a set.

    Attributes:
        files: what images and records are read from.
        names: of all data files, sorted; one alone where the path is that of a data file.
    """

    files: DataFiles
    names: tuple[str, ...]

    def select(self, layout: Layout) -> list[str]:
        """The files of the first pattern of a layout that matches any; for pictures those of all."""
        matches = ([name for name in self.names if _matches(name, pattern)] for pattern in layout.files)
        if layout.shape == "pictures":
            return sorted({name for found in matches for name in found})
        return next(filter(None, matches), list[str]())


def _matches(name: str, pattern: str) -> bool:
    """Without regard to case, wherever in the copy the file lies."""
    name, pattern = f"/{name}".casefold(), pattern.casefold()
    return fnmatchcase(name, pattern if pattern.startswith("*") else f"*/{pattern}")


def _open_copy(path: Path) -> _Copy:
    """The copy at a path: a folder, a zip or tar, or one data file.

    Raises:
        MissingData: there is nothing.
        BadData: it is an archive that cannot be read.
    """
    if not path.exists():
        raise MissingData("there is no such folder or file", where=str(path))
    if path.is_file() and not suffix(path):
        return _Copy(files=open_files(path.parent), names=(path.name,))
    names = sorted(_list_members(path) if path.is_file() else _list_files(path))
    return _Copy(files=open_files(path), names=tuple(names))


def _list_files(folder: Path) -> Iterator[str]:
    """Files of the folder and, by their names in there, of the archives that lie in it."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix()
            if suffix(path) and path.parent == folder:
                yield from _list_members(path)


def _list_members(path: Path) -> Iterable[str]:
    try:
        return [name for name in open_archive(path).members if not name.startswith("__MACOSX/")]
    except FAULTS as fault:
        raise BadData(f"the archive cannot be read: {fault}", where=str(path)) from None


def _read_file(files: DataFiles, name: str, layout: Layout) -> Iterator[Seed]:
    """The seeds of one file, each keyed by its own id."""
    path = PurePosixPath(name)
    category = {"file": path.stem, "folder": path.parent.name}.get(layout.category_of, "")
    if layout.shape == "pictures":
        yield Seed(key=name, source="", image=files.image(name), category=category)
        return
    for number, row in enumerate(_read_rows(files, name, layout)):
        if number == 0:
            _check_columns(row, layout, name)
        try:
            yield from _read_row(files, name, row, layout, category)
        except BadData as fault:
            if number == 0:  # of the first it is likely a slip of the whole file
                raise
            yield Seed(key=row.place, source="", fault=fault.what)


def _read_rows(files: DataFiles, name: str, layout: Layout) -> Iterator[Row]:
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


def _check_columns(row: Row, layout: Layout, name: str) -> None:
    """Refuse MIS's own test, and what is built in its layout, under whatever name; and a file that lacks a wanted
    column: once, not once for each record."""
    if row.values.keys() >= _TEST_COLUMNS:
        what = "the columns are those of the test files of MIS, and no set to train on is built from these"
        raise HarnessError(what, where=name, remedy="leave it out; no option lifts this")
    groups = [columns for columns in (layout.text, layout.image) if columns]
    missing = [columns for columns in groups if not any(column in row.values for column in columns)]
    if missing and (layout.name != PLAIN or len(missing) == len(groups)):
        wanted = " and ".join(" or ".join(repr(column) for column in columns) for columns in missing)
        there = ", ".join(repr(column) for column in row.values) or "none"
        kind = "text" if layout.text in missing else "image"
        yours = json.dumps(next((each for each in row.values if each not in layout.key), "YOURS"), ensure_ascii=False)
        remedy = f"name yours below the source, such as  columns: {{{kind}: {yours}}}"
        raise BadData(f"no column {wanted}; there are: {there}", where=name, remedy=remedy)


def _read_row(files: DataFiles, name: str, row: Row, layout: Layout, category: str) -> Iterator[Seed]:
    """The seeds of a record: one, or one for each of its images."""
    text = _TOKEN.sub(" ", row.text(*layout.text, default="") if layout.text else "").strip()
    images: tuple[str, ...] = ()
    if column := next((column for column in layout.image if row.has(column)), ""):
        if isinstance(row.values[column], list):
            images = row.texts(column)
        elif only := row.key(column, default=""):  # null and an empty text name nothing
            images = (only,)
    key = row.key(*layout.key, default="")
    if key and category:  # files of one name in several folders count from 0 each
        key = f"{category}-{key}"
    if not text and not images:
        yield Seed(key=key or row.place, source="", fault=_NOTHING)
        return
    key = key or short([text, images], 16)
    named = (row.text(*layout.category, default="") if layout.category else "") or category
    for place in images or (None,):
        image = None if place is None else _find_image(files, name, place, layout)
        yield Seed(key=key, source="", text=text, image=image, category=named)


def _find_image(files: DataFiles, name: str, value: str, layout: Layout) -> Image:
    if IN_PARQUET in value:
        return files.image(value)
    folder = "".join(f"{part}/" for part in PurePosixPath(name).parts[:-1])
    stem, _ = splitext(value)
    places = dict.fromkeys(place.format(folder=folder, value=value, stem=stem) for place in layout.images)
    return first_of(*(files.image(place) for place in places))
