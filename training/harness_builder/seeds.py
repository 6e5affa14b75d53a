"""Seeds: the texts and images that a build takes its ideas from, read out of the user's own copies, one at a time.

Records are read file by file (parquet a few records at a time), and images are not opened: a seed only says where its
image is. With a limit the seeds are chosen by a hash of their key: the same on every machine and in whatever order the
file has them, and raising the limit keeps what was chosen before. A `#` in a key separates the seed from the number of
its element, so it is escaped in the id that a seed has in its source.

A layout says as data how a set lies on disk. A column has several names where copies of a set differ; other columns are
ignored; where no name of a wanted column is there, the reader says which it looked for and which there are. Sources:
the sets' own repositories and cards; for VLSafe, Ch3Ef and RTVLM the code of those who read them.
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
from harness.readers.files import IN_PARQUET
from harness.settings import nearest
from harness_builder.values import Seed

Shape = Literal["table", "keyed", "items", "pictures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which seeds lie in a folder or an archive.

    Attributes:
        name: by which a source names it.
        files: patterns of its data files; the first that matches is taken.
        shape: records in a list, CSV or parquet file; one JSON object of records by their id; an object that holds the
            list in its field `items`; or the files themselves, each an image.
        text: columns that may hold the text; empty: the images alone are seeds.
        image: columns that may name the image; empty: the texts alone are seeds.
        category: columns that may hold the category.
        key: columns that may name the record.
        images: where an image may be: `{folder}` is that of the data file, `{value}` what the column says, `{stem}` the
            same without its ending.
        category_of: of the file's own name or its folder's, where no column has it.
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
    """The layouts in which copies of a set are published. Raises UnknownName."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    known = ", ".join(LAYOUTS)
    raise UnknownName(f"no layout of seeds is called {name!r}", remedy=nearest(name, LAYOUTS) or f"take one of {known}")


def rename_columns(layout: Layout, columns: Mapping[str, str]) -> Layout:
    """The layout with the user's own names for columns; one that names a text has no image unless it names that too.
    Raises HarnessError for a name of something that is not a column."""
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
    return _read_all(source) if source.limit is None else _choose(source, source.limit)


def escape_id(own: str) -> str:
    """The id of a seed as keys have it; no two ids become alike."""
    return own.replace("%", "%25").replace("#", "%23")


def unescape_key(key: str) -> str:
    """A key with its ids as their source has them, which may be that of another key as well."""
    return key.replace("%23", "#").replace("%25", "%")


def _choose(source: SeedSource, limit: int) -> Iterator[Seed]:
    """The seeds whose keys have the lowest hashes, in the order of the source."""
    seeds = enumerate(_read_all(source))
    ranked = ((hashlib.sha256(f"{source.seed}/{each.key}".encode()).digest(), at, each) for at, each in seeds)
    lowest = heapq.nsmallest(limit, ranked, key=lambda item: item[:2])
    yield from (each for _, _, each in sorted(lowest, key=lambda item: item[1]))


def _read_all(source: SeedSource) -> Iterator[Seed]:
    layouts = [rename_columns(layout, source.columns) for layout in find_layouts(source.layout)]
    files, names = _open_copy(source.path)
    layout, chosen = next(((each, found) for each in layouts if (found := _select_files(names, each))), (None, []))
    if layout is None:
        wanted = ", ".join(pattern for each in layouts for pattern in each.files)
        raise HarnessError(
            f"the source {source.name!r} is empty: no file of the layout {source.layout!r} is there",
            where=str(source.path),
            remedy=f"it looks for {wanted}",
        )
    taken: dict[str, int] = {}  # id -> how many records have it so far, as `harness.distinct` counts a whole list
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
    """What records and images are read from, and the names of all data files: those of a folder and of the archives in
    it, those of a zip or tar, or one data file alone.

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
    """The files of the first pattern of a layout that matches any, in any case, wherever they lie; for pictures of all
    patterns."""
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
            if number == 0:  # in the first record it is likely a mistake of the whole file
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
    """Refuse MIS's own test, and what is built in its layout; and a file that lacks a wanted column."""
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
