"""Reads seeds, the texts and images from which a build takes its ideas, from the user's own copies, one at a time.

Records are read file by file (parquet a few records at a time), and images are not opened: a seed only names its image.
With a limit the seeds are chosen by a hash of their key: the choice is the same on every machine and in any file order,
and a higher limit keeps the earlier choice. A `#` in a key separates the seed from the number of its element, so it is
escaped in the id from the source, and so is half of a character.

A layout describes as data how a set is stored. A column has several names if copies of a set differ; other columns are
ignored; if a wanted column is missing, the error names the expected and the present columns. Sources: the sets' own
repositories and cards; for VLSafe, Ch3Ef and RTVLM the code of projects that read them.
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
from typing import Final, Literal

from harness import BadData, HarnessError, MissingData, UnknownName, document, open_files, rows
from harness.keys import short
from harness.readers import DataFiles, Row, first_of, parquet_rows
from harness.readers.archives import FAULTS, open_archive, suffix
from harness.readers.places import IN_PARQUET
from harness.settings import nearest
from harness_builder.values import Seed

Shape = Literal["table", "keyed", "items", "pictures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a set stores its seeds in a folder or an archive.

    Attributes:
        name: for a source's `layout`.
        files: patterns of its data files; the first match counts.
        shape: records in a list, CSV or parquet file; one JSON object of records by their id; an object that holds the
            list in its field `items`; or the files themselves, each an image.
        text: columns that may hold the text; empty: the images alone are seeds.
        image: columns that may name the image; empty: the texts alone are seeds.
        category: columns that may hold the category.
        key: columns that may name the record.
        images: where an image may be: `{folder}` is that of the data file, `{value}` the column's value, `{stem}` the
            value without its ending.
        category_of: the file's or its folder's name holds the category, if no column does.
    """

    name: str
    files: tuple[str, ...]
    shape: Shape = "table"
    text: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    key: tuple[str, ...] = ("id", "ID", "Index", "index")
    images: tuple[str, ...] = ("{value}", "{folder}{value}")
    category_of: Literal["", "file", "folder"] = ""


TABLES: Final = ("*.parquet", "*.csv", "*.tsv", "*.jsonl", "*.ndjson", "*.json")
PICTURES: Final = ("*.png", "*.jpg", "*.jpeg", "*.webp", "*.bmp", "*.gif")
PLAIN: Final = "plain"

_MM_TEXT: Final = Layout(
    name="mm-safetybench", files=("*/Text_only*.parquet",), text=("question",), category_of="folder"
)

LAYOUTS: Final[dict[str, tuple[Layout, ...]]] = {
    "mm-safetybench": (
        _MM_TEXT,
        Layout(
            name="mm-safetybench",
            files=("*processed_questions/*.json",),
            shape="keyed",
            text=("Changed Question", "Question"),
            category_of="file",
        ),
    ),
    "mm-safetybench-images": (
        Layout(
            name="mm-safetybench-images",
            files=("*/SD.parquet", "*/SD-*.parquet"),
            image=("image",),
            category_of="folder",
        ),
    ),
    "vlsbench": (
        Layout(
            name="vlsbench",
            files=("data.json", "train*.parquet", "train/*.parquet"),
            text=("instruction",),
            image=("image", "image_path"),
            category=("category",),
            key=("instruction_id", "id"),
        ),
    ),
    "vlsafe": (
        Layout(
            name="vlsafe",
            files=("*VLSafe*.jsonl", "*vlsafe*.jsonl", "*.jsonl", "*.json"),
            text=("query", "question"),
            image=("image_id", "image"),
            key=("id", "question_id"),
            images=("{value}", "train2017/{value}", "coco/train2017/{value}", "images/{value}"),
        ),
    ),
    "spa-vl": (
        Layout(
            name="spa-vl",
            files=("*.parquet", "*.jsonl", "*.json"),
            text=("question",),
            image=("image",),
            category=("class1",),
        ),
    ),
    "ch3ef": (
        Layout(
            name="ch3ef",
            files=("*meta_file/Harmless.json", "*Harmless.json"),
            shape="items",
            text=("query",),
            image=("image",),
            category=("source",),
        ),
    ),
    "rtvlm": (
        Layout(
            name="rtvlm",
            files=("*.jsonl",),
            text=("instruction", "question"),
            image=("image", "index"),
            key=("index", "id"),
            images=("{folder}img/{value}", "{folder}img/{value}.jpg", "{folder}img/{value}.png", "{value}"),
            category_of="folder",
        ),
    ),
    "advbench": (
        Layout(name="advbench", files=("*harmful_behaviors*.csv", "*.csv", "*.parquet"), text=("goal", "prompt")),
    ),
    "harmbench": (
        Layout(
            name="harmbench",
            files=("*harmbench_behaviors_text*.csv", "*.csv", "*.parquet"),
            text=("Behavior", "behavior", "prompt"),
            category=("SemanticCategory", "category"),
            key=("BehaviorID", "id"),
        ),
    ),
    "harmbench-multimodal": (
        Layout(
            name="harmbench-multimodal",
            files=("*harmbench_behaviors_multimodal*.csv",),
            text=("Behavior",),
            image=("ImageFileName",),
            category=("SemanticCategory",),
            key=("BehaviorID",),
            images=(
                "multimodal_behavior_images/{value}",
                "data/multimodal_behavior_images/{value}",
                "multimodal_behavior_images/{stem}.png",  # seven rows say .jpg where the file is a .png
                "data/multimodal_behavior_images/{stem}.png",
            ),
        ),
    ),
    PLAIN: (
        Layout(
            name=PLAIN,
            files=TABLES,
            text=("text", "question", "instruction", "prompt", "query", "goal", "behavior"),
            image=("image", "image_path", "img"),
            category=("category", "class"),
            key=("id", "key"),
            images=("{value}", "{folder}{value}", "images/{value}"),
        ),
    ),
    "images": (Layout(name="images", files=PICTURES, shape="pictures", category_of="folder"),),
}


def find_layouts(name: str) -> tuple[Layout, ...]:
    """The layouts of a set's published copies. Raises UnknownName."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    known = ", ".join(LAYOUTS)
    raise UnknownName(f"there is no layout of seeds {name!r}", remedy=nearest(name, LAYOUTS) or f"use one of {known}")


def rename_columns(layout: Layout, columns: Mapping[str, str]) -> Layout:
    """The layout with the user's own column names; if they name a text but no image, it has no image. Raises
    HarnessError for an unknown kind of column."""
    wanted = ("text", "image", "category", "key")
    for column in columns:
        if column not in wanted:
            raise HarnessError(f"a seed has no column {column!r}", remedy=f"name one of {', '.join(wanted)}")
    if not columns:
        return layout
    told = {column: (name,) for column, name in columns.items()}
    bare = told.keys() & {"text", "image"}
    return replace(
        layout,
        text=told.get("text", () if bare else layout.text),
        image=told.get("image", () if bare else layout.image),
        category=told.get("category", layout.category),
        key=told.get("key", layout.key),
    )


# ---- reading ---------------------------------------------------------------------------------------------------------

_TEST_COLUMNS: Final = frozenset({"question", "category", "sub_category", "image_path1", "image_path2"})
_NOTHING: Final = "the record has neither a text nor an image"
_TOKEN: Final = re.compile(r"\s*<image>\s*")  # some sets keep image marks in their questions
_HALF: Final = re.compile(r"[\ud800-\udfff]")
_ESCAPED_HALF: Final = re.compile(r"%u(D[89A-F][0-9A-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSource:
    """Where seeds come from.

    Attributes:
        name: in records of the build; a part of each seed's key.
        path: the user's copy: a folder, an archive, a CSV, TSV, JSON, JSONL or parquet file.
        layout: one of LAYOUTS; `plain` for one's own table, `images` for a folder of pictures.
        licence: as its owner states it, in SPDX's spelling; empty for the known licence of the layout's set.
        limit: the most seeds; None for all.
        seed: another one makes another choice of the same size.
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
        BadData: a file cannot be read, lacks a wanted column, or its first record has a value of the wrong type; any
            other such record becomes a seed with a fault.
        HarnessError: it holds no seed, or the limit is below 1.
    """
    if source.limit is not None and source.limit < 1:
        raise HarnessError(f"limit={source.limit} leaves no seed", where=source.name, remedy="set 1 or more, or none")
    return _read_all(source) if source.limit is None else _choose(source, source.limit)


def escape_id(own: str) -> str:
    """The id of a seed in keys; different ids stay different."""
    escaped = own.replace("%", "%25").replace("#", "%23")
    # half of a character, as in a file name that is not UTF-8: no file and no database takes it
    return _HALF.sub(lambda match: f"%u{ord(match[0]):04X}", escaped)


def unescape_key(key: str) -> str:
    """A key with the unescaped ids of its source; another key may have the same."""
    whole = _ESCAPED_HALF.sub(lambda match: chr(int(match[1], 16)), key)
    return whole.replace("%23", "#").replace("%25", "%")


def _choose(source: SeedSource, limit: int) -> Iterator[Seed]:
    """The seeds with the lowest key hashes, in the source's order."""
    seeds = enumerate(_read_all(source))
    ranked = ((hashlib.sha256(f"{source.seed}/{each.key}".encode()).digest(), at, each) for at, each in seeds)
    lowest = heapq.nsmallest(limit, ranked, key=lambda item: item[:2])
    yield from (each for _, _, each in sorted(lowest, key=lambda item: item[1]))


def _read_all(source: SeedSource) -> Iterator[Seed]:
    layouts = [rename_columns(layout, source.columns) for layout in find_layouts(source.layout)]
    files, names = _open_copy(source.path)
    selected = ((each, _select_files(names, each)) for each in layouts)
    layout, chosen = next((pair for pair in selected if pair[1]), (None, ()))
    if layout is None:
        wanted = ", ".join(pattern for each in layouts for pattern in each.files)
        raise HarnessError(
            f"the source {source.name!r} is empty: it has no file of the layout {source.layout!r}",
            where=str(source.path),
            remedy=f"it looks for {wanted}",
        )
    taken: dict[str, int] = {}  # id -> its records so far, counted as by `harness.distinct`
    for name in chosen:
        for seed in _read_file(files, name, layout):
            own = seed.key
            while own in taken:
                taken[seed.key] += 1
                own = f"{seed.key}-{taken[seed.key]}"
            taken[own] = 1
            yield replace(seed, key=f"{source.name}/{escape_id(own)}", source=source.name)
    if not taken:
        raise HarnessError(f"the source {source.name!r} is empty: its files hold no record", where=str(source.path))


def _open_copy(path: Path) -> tuple[DataFiles, list[str]]:
    """The reader of records and images, and the names of all data files: those of a folder and of its archives, those
    of a zip or tar, or one data file alone.

    Raises:
        MissingData: there is nothing.
        BadData: it is an archive that cannot be read.
    """
    if not path.exists():
        raise MissingData("there is no such folder or file", where=str(path))
    if path.is_file() and not suffix(path):
        return open_files(path.parent), [path.name]
    names: list[str] = _list_members(path) if path.is_file() else []
    for each in () if path.is_file() else path.rglob("*"):
        name = each.relative_to(path)
        if each.is_file() and not any(part.startswith(".") for part in name.parts):
            names.append(name.as_posix())
            if suffix(each) and each.parent == path:
                names += _list_members(each)
    return open_files(path), sorted(names)


def _select_files(names: Iterable[str], layout: Layout) -> list[str]:
    """The files of a layout's first matching pattern, in any case and any folder; for pictures of all patterns."""
    matches: list[list[str]] = []
    for pattern in (each.casefold() for each in layout.files):
        anywhere = pattern if pattern.startswith("*") else f"*/{pattern}"
        matches.append([name for name in names if fnmatchcase(f"/{name}".casefold(), anywhere)])
    if layout.shape == "pictures":
        return sorted({name for found in matches for name in found})
    return next(filter(None, matches), list[str]())


def _list_members(path: Path) -> list[str]:
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
            if number == 0:  # in the first record it is probably wrong in the whole file
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
    elif files.stamp(name)[1]:  # an empty file is not broken JSON: it has no record
        yield from rows(files, name)


def _check_columns(row: Row, layout: Layout, name: str) -> None:
    """Refuse MIS's own test, built tests in its layout, and a file that lacks a wanted column."""
    if row.values.keys() >= _TEST_COLUMNS:
        what = "the columns are those of MIS's test files, so no training set may be built from it"
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
    if key and category:  # files with one name in several folders each count from 0
        key = f"{category}-{key}"
    if not text and not images:
        yield Seed(key=key or row.place, source="", fault=_NOTHING)
        return
    key = key or short([text, images], 16)
    named = (row.text(*layout.category, default="") if layout.category else "") or category
    folder = "".join(f"{part}/" for part in PurePosixPath(name).parts[:-1])
    for value in images or (None,):
        image = None
        if value is not None and IN_PARQUET in value:
            image = files.image(value)
        elif value is not None:
            stem, _ = splitext(value)
            places = dict.fromkeys(place.format(folder=folder, value=value, stem=stem) for place in layout.images)
            image = first_of(*(files.image(place) for place in places))
        yield Seed(key=key, source="", text=text, image=image, category=named)
