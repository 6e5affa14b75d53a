"""The records of a data file, each field checked when it is read; for task authors.

    files = open_files(root)
    for row in rows(files, "questions.json"):
        prompt(files.image(row.text("image")), row.text("question"))

A missing file is a MissingData; a wrong one is a BadData that names file, record number and field.

A parquet file may hold the images themselves. Its column of images reads as text: the place of the image, which
`files.image` takes. So the same code reads a JSON file that names images in a folder. `image_mark` tells which records
show the same image.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import BadData, BadImage, MissingData
from harness.extras import require
from harness.readers.places import IN_PARQUET, PARQUET_CELL
from harness.types import Image, Json, Message, Part, Request, Text

if TYPE_CHECKING:
    from harness.readers.files import DataFiles

T = TypeVar("T")
_SEPARATORS = re.compile(r"[ \t\r\n,]*")
_KINDS: Mapping[type[Any], str] = {
    str: "text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record of a data file.

    Attributes:
        values: its fields; null and an absent field are the same.
        place: the file and the record, for errors: "questions.json, record 3".
        number: 1-based, within its list.
    """

    values: Mapping[str, Json]
    place: str
    number: int = 1

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, *names: str, default: str | None = None) -> str:
        """The text of the first of these fields that exists.

        Raises:
            BadData: it is not a text, or it is missing or blank and there is no default.
        """
        name, value = self._find_first(names, default)
        if value is None and default is not None:
            return default
        text: str = self._check(name, value, str)
        if not text.strip():
            if default is None:
                raise self._error(name, "is blank")
            return default
        return text

    def key(self, *names: str, default: str | None = None) -> str:
        """Like `text`, for the name of a record: a whole number is read as its digits."""
        name, value = self._find_first(names, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name, default=default)

    def choice(self, name: str, choices: Iterable[str]) -> str:
        """The choice that a text names, in any case and spacing. Raises BadData if it names none."""
        given, known = self.text(name), tuple(choices)
        folded = " ".join(given.split()).casefold()
        found = next((each for each in known if each.casefold() == folded), None)
        if found is None:
            raise BadData(f"{given!r} is not one of {', '.join(known)}", where=f"{self.place}, field {name}")
        return found

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of texts; a text alone is a list of one.

        Raises:
            BadData: the field is missing, a text is blank, or it holds anything else.
        """
        name, value = self._find_first(names, None)
        if isinstance(value, str):
            return (self.text(name),)
        items = self._read_items(name, value)
        return tuple(items.text(item) for item in items.values)

    def keys(self, name: str) -> tuple[str, ...]:
        """A list of names of records; see `key`."""
        items = self._read_items(name, self.values.get(name))
        return tuple(items.key(item) for item in items.values)

    def rows(self, name: str) -> tuple[Row, ...]:
        """A list of objects, as records of their own."""
        records: list[Json] = self._check(name, self.values.get(name), list)
        return tuple(_make_row(record, f"{self.place}, {name}", number) for number, record in enumerate(records, 1))

    def part(self, name: str) -> Row:
        """An object, as one record."""
        return Row(values=self._check(name, self.values.get(name), dict), place=f"{self.place}, {name}")

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._check(name, self.values.get(name), bool))

    def _read_items(self, name: str, value: Json) -> Row:
        """The items of a list, as fields that are named by their place."""
        items: list[Json] = self._check(name, value, list)
        return Row(values={f"{name}[{number}]": item for number, item in enumerate(items)}, place=self.place)

    def _find_first(self, names: tuple[str, ...], default: str | None) -> tuple[str, Json]:
        for name in names:
            if self.has(name):
                return name, self.values[name]
        if default is None:
            raise self._error(" or ".join(names), "is missing")
        return names[0], None

    def _check(self, name: str, value: Json, kind: type[Any]) -> Json:
        if value is None:
            raise self._error(name, "is missing")
        if not _is(value, kind):
            raise self._error(name, describe_mismatch(value, kind))
        return value

    def _error(self, name: str, what: str) -> BadData:
        return BadData(f"field {name!r} {what}", where=f"{self.place}, field {name}")


def rows(files: DataFiles, *names: str) -> tuple[Row, ...]:
    """The records of the first of these files that exists: a JSON list, JSON lines, CSV (TSV) with a header, parquet,
    the first sheet of an Excel workbook.

    A parquet name may hold `*`; see `parquet_rows`, which gives the same records lazily.

    Raises:
        MissingData: none of them is there.
        BadData: it cannot be read as such.
    """
    there = files.find(*names) or names[0]
    if there.lower().endswith(".parquet"):
        return tuple(parquet_rows(files, *names[names.index(there) :]))
    if there.lower().endswith(".xlsx"):
        from harness.readers.sheets import FAULTS, read_sheet  # XML is not needed to offer a task

        _, data = _read_bytes(files, (there,))
        try:
            return tuple(_make_row(record, there, number) for number, record in enumerate(read_sheet(data), 1))
        except FAULTS as fault:
            raise BadData(f"not an Excel workbook: {fault}", where=there) from None
    name, text = read_text(files, names)
    if name.lower().endswith((".csv", ".tsv")):
        records: Iterable[Json] = _read_table(name, text)
    elif text.lstrip().startswith("{"):
        records = _read_lines(name, text)
    else:
        records = value = parse_json(name, text)
        if not _is(value, list):
            raise BadData(f"the file {describe_mismatch(value, list)} of records", where=name)
    return tuple(_make_row(record, name, number) for number, record in enumerate(records, 1))


def document(files: DataFiles, *names: str) -> Row:
    """The first of these files that exists, as one JSON object; raises as `rows` does."""
    name, text = read_text(files, names)
    value = parse_json(name, text)
    if not _is(value, dict):
        raise BadData(f"the file {describe_mismatch(value, dict)}", where=name)
    return Row(values=value, place=name)


def prompt(*parts: str | Image) -> Request:
    """One user turn of texts and images, in this order."""
    content: tuple[Part, ...] = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    return Request(messages=(Message(role="user", content=content),))


def together(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterator[T]:
    """The items with those of one key next to each other; keys keep the order in which they first occur."""
    groups: dict[Hashable, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    for group in groups.values():
        yield from group


def distinct(ids: Iterable[str]) -> list[str]:
    """The same ids, with `-2`, `-3`, … on those that would repeat an earlier one."""
    taken: dict[str, int] = {}  # each name given out, and the number its next repetition tries first
    for wanted in ids:
        name = wanted
        while name in taken:
            taken[wanted] += 1
            name = f"{wanted}-{taken[wanted]}"
        taken[name] = 1
    return list(taken)


def normalize_question(question: str) -> str:
    """A text that all spellings of one question share: NFKC, casefold, single spaces, no final punctuation."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", question).casefold())
    text = " ".join(text.split())
    bare = text
    while bare and (bare[-1].isspace() or unicodedata.category(bare[-1]).startswith("P")):
        bare = bare[:-1]
    return bare or text


def read_text(files: DataFiles, names: tuple[str, ...]) -> tuple[str, str]:
    """Name and text of the first of these files that exists.

    Raises:
        MissingData: none of them is there.
        BadData: it cannot be read, or is not UTF-8.
    """
    name, data = _read_bytes(files, names)
    try:
        return name, data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        remedy = "save the file as UTF-8"
        raise BadData(f"the file is not UTF-8 at byte {error.start}", where=name, remedy=remedy) from None


def _read_bytes(files: DataFiles, names: tuple[str, ...]) -> tuple[str, bytes]:
    """Name and bytes of the first of these files that exists. Raises MissingData or BadData."""
    name = next((name for name in names if files.has(name)), names[0])
    try:
        return name, files.read(name)
    except BadImage as fault:
        if fault.reason == "missing":
            raise MissingData(f"{' or '.join(names)} is not there", where=str(files.root)) from None
        raise BadData("the file cannot be read", where=f"{files.root}: {fault}") from None


class RepeatedKey(ValueError):
    """An object has a key twice: only one of its values would be read."""


def parse_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """A JSON object, for `object_pairs_hook`. Raises RepeatedKey."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise RepeatedKey(f"the key {twice!r} stands twice in one object")
    return found


def _find_repeated_key(text: str) -> str:
    """The record of a list that has a key twice; empty for a text that is not a list."""
    if not text.lstrip().startswith("["):
        return ""
    decoder, number, at = json.JSONDecoder(object_pairs_hook=parse_object), 1, text.index("[") + 1
    with suppress(RepeatedKey):
        while found := _SEPARATORS.match(text, at):
            _, at = decoder.raw_decode(text, found.end())
            number += 1
    return f"record {number}"


def parse_json(name: str, text: str, *, line: str = "") -> Json:
    """The JSON value of a file, or of the one `line` of it. Raises BadData."""
    where = ", ".join(filter(None, (name, line)))
    try:
        return json.loads(text, object_pairs_hook=parse_object)
    except RepeatedKey as error:
        what, where = str(error), ", ".join(filter(None, (name, line or _find_repeated_key(text))))
    except json.JSONDecodeError as error:
        what, at = f"not JSON: {error.msg}", line or f"line {error.lineno}"
        where = f"{name}, {at}, column {error.colno}"
    except (RecursionError, ValueError) as error:
        what = f"not JSON: {error}"
    raise BadData(what, where=where)


def _read_lines(name: str, text: str) -> Iterator[Json]:
    # Only a line feed ends a line: a JSON text may hold U+2028 and its like.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not name.lower().endswith((".jsonl", ".ndjson")) and len(lines) > 1 and lines[0][1].strip() == "{":
        raise BadData("the file is an object, not a list of records", where=name)
    for number, line in lines:
        yield parse_json(name, line, line=f"line {number}")


def _read_table(name: str, text: str) -> Iterator[Json]:
    import csv  # not needed to offer a task

    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if name.lower().endswith(".tsv") else ",")
    try:
        yield from ({key: value for key, value in line.items() if key is not None} for line in reader)
    except csv.Error as error:
        raise BadData(f"not CSV: {error}", where=f"{name}, line {reader.line_num + 1}") from None


def _make_row(record: Json, place: str, number: int) -> Row:
    where = f"{place}, record {number}"
    if not _is(record, dict):
        raise BadData(f"the record {describe_mismatch(record, dict)}", where=where)
    return Row(values=record, place=where, number=number)


def _is(value: Json, kind: type[Any]) -> bool:
    return isinstance(value, kind)  # no narrowing: what a JSON container holds stays Any to a type checker


def describe_mismatch(value: Json, kind: type[Any]) -> str:
    """What a value is, and what it should be."""
    return f"is {_KINDS[type(value)]}, not {_KINDS[kind]}"


def parquet_rows(files: DataFiles, *names: str) -> Iterator[Row]:
    """The records of the first of these files that exists, read one by one.

    A name may hold `*` and then stands for all files it matches, in order: the shards of one split. Only
    columns of texts, numbers, lists, objects or images are kept.

    Raises:
        MissingData: none of them is there.
        BadData: a file or one of its columns cannot be read.
        HarnessError: pyarrow is not installed.
    """
    found = next((matched for name in names if (matched := files.matching(name))), ())
    if not found:
        raise MissingData(f"{' or '.join(names)} is not there", where=str(files.root))
    return (row for name in found for row in _read_parquet(files, name))


def parquet_tables(files: DataFiles) -> Mapping[str, tuple[str, ...]]:
    """All parquet files of the folder: table -> its shards, in order.

    The table `data/Fraud/SD` is that file, or `data/Fraud/SD-00000-of-00002` and the next, or the numbered files of a
    folder `data/Fraud/SD`, as the hub's own conversion has them.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in files.matching("**/*.parquet"):
        table = re.sub(r"(-\d+-of-\d+|/\d+)?\.parquet$", "", name)
        found[table] = (*found.get(table, ()), name)
    return found


def _read_parquet(files: DataFiles, name: str) -> Iterator[Row]:
    with require("hub", by="a parquet file", where=name):
        from harness.readers.cells import FAULTS, open_table

    what, where, table = "the parquet file", name, None
    try:
        place, size, mtime_ns = files.stamp(name)
        if not Path(place).is_file():
            raise BadData("a parquet file inside an archive is not read", where=place, remedy="unpack the archive")
        table = open_table(Path(place), size, mtime_ns)
        for number, values in enumerate(table.records(name), 1):
            yield Row(values=values, place=f"{name}, record {number}", number=number)
    except (*FAULTS, BadImage) as fault:
        if table and (column := table.find_broken_column()):
            what, where = f"column {column!r}", f"{name}, column {column}"
        reason = str(fault).strip().partition("\n")[0] or type(fault).__name__
        raise BadData(f"{what} cannot be read: {reason}", where=where) from None


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
    parsed = re.fullmatch(PARQUET_CELL, cell)
    if parsed is None:
        return place
    column, record, number = parsed.groups(default="1")
    try:
        name, size, mtime_ns = files.stamp(f"{table}{IN_PARQUET[:-1]}")
        return _hash_column(name, size, mtime_ns, column)[int(record), int(number)]
    except (BadImage, KeyError):
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
