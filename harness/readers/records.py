"""Safe readers of data files, for task authors: a file's records, each field checked as it is taken.

    files = open_files(root)
    for row in rows(files, "questions.json"):
        prompt(files.image(row.text("image")), row.text("question"))

What a file lacks is a MissingData, what it has wrong a BadData that names file, record number and field.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.errors import BadData, BadImage, MissingData
from harness.readers.files import DataFiles
from harness.types import Image, Json, Message, Part, Request, Text

T = TypeVar("T")
_BETWEEN = re.compile(r"[ \t\r\n,]*")
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
        """The text of the first of these fields that is there.

        Raises:
            BadData: there is none and no default, it is no text, or it is blank without a default.
        """
        name, value = self._first(names, default)
        if value is None and default is not None:
            return default
        text: str = self._of(name, value, str)
        if not text.strip():
            if default is None:
                raise self._wrong(name, "is blank")
            return default
        return text

    def key(self, *names: str, default: str | None = None) -> str:
        """Like `text`, for what names a record: a whole number is taken as its digits."""
        name, value = self._first(names, default)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name, default=default)

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of texts; a text alone is a list of one.

        Raises:
            BadData: the field is missing, a text is blank, or it holds anything else.
        """
        name, value = self._first(names, None)
        if isinstance(value, str):
            return (self.text(name),)
        items = self._items(name, value)
        return tuple(items.text(item) for item in items.values)

    def keys(self, name: str) -> tuple[str, ...]:
        """A list of what names records; see `key`."""
        items = self._items(name, self.values.get(name))
        return tuple(items.key(item) for item in items.values)

    def rows(self, name: str) -> tuple[Row, ...]:
        """A list of objects, as records of their own."""
        records: list[Json] = self._of(name, self.values.get(name), list)
        return tuple(_row(record, f"{self.place}, {name}", number) for number, record in enumerate(records, 1))

    def part(self, name: str) -> Row:
        """An object, as a record of its own."""
        return Row(values=self._of(name, self.values.get(name), dict), place=f"{self.place}, {name}")

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._of(name, self.values.get(name), bool))

    def _items(self, name: str, value: Json) -> Row:
        """The items of a list, as fields that say where they stand."""
        items: list[Json] = self._of(name, value, list)
        return Row(values={f"{name}[{number}]": item for number, item in enumerate(items)}, place=self.place)

    def _first(self, names: tuple[str, ...], default: str | None) -> tuple[str, Json]:
        for name in names:
            if self.has(name):
                return name, self.values[name]
        if default is None:
            raise self._wrong(" or ".join(names), "is missing")
        return names[0], None

    def _of(self, name: str, value: Json, kind: type[Any]) -> Json:
        if value is None:
            raise self._wrong(name, "is missing")
        if not _is(value, kind):
            raise self._wrong(name, _mismatch(value, kind))
        return value

    def _wrong(self, name: str, what: str) -> BadData:
        return BadData(f"field {name!r} {what}", where=f"{self.place}, field {name}")


def rows(files: DataFiles, *names: str) -> tuple[Row, ...]:
    """The records of the first of these files that is there: a JSON list, JSON lines, CSV (TSV) with a header, parquet.

    A parquet name may hold `*`; see `harness.readers.parquet_rows`, which gives the same records lazily.

    Raises:
        MissingData: none of them is there.
        BadData: it cannot be read as such.
    """
    there = next((name for name in names if files.matching(name)), names[0])
    if there.lower().endswith(".parquet"):
        from harness.readers.parquet import parquet_rows

        return tuple(parquet_rows(files, *names[names.index(there) :]))
    name, text = _loaded(files, names)
    if name.lower().endswith((".csv", ".tsv")):
        records: Iterable[Json] = _table(name, text)
    else:
        records = _lines(name, text) if text.lstrip().startswith("{") else _list(name, text)
    return tuple(_row(record, name, number) for number, record in enumerate(records, 1))


def document(files: DataFiles, *names: str) -> Row:
    """The first of these files that is there, as one JSON object; raises as `rows` does."""
    name, text = _loaded(files, names)
    value = _parsed(name, text)
    if not _is(value, dict):
        raise BadData(f"the file {_mismatch(value, dict)}", where=name)
    return Row(values=value, place=name)


def prompt(*parts: str | Image) -> Request:
    """One user turn of texts and images, in this order."""
    content: tuple[Part, ...] = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    return Request(messages=(Message(role="user", content=content),))


def together(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterator[T]:
    """The items, those of one key next to each other, keys in the order in which they first occur."""
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


def _loaded(files: DataFiles, names: tuple[str, ...]) -> tuple[str, str]:
    name = next((name for name in names if files.has(name)), names[0])
    try:
        return name, files.read(name).decode("utf-8-sig")
    except BadImage as fault:
        if fault.reason == "missing":
            raise MissingData(f"{' or '.join(names)} is not there", where=str(files.root)) from None
        raise BadData("the file cannot be read", where=f"{files.root}: {fault}") from None
    except UnicodeDecodeError as error:
        raise BadData(f"the file is not UTF-8 at byte {error.start}", where=name) from None


class RepeatedKey(ValueError):
    """A key stands twice in one object: only one of its values would be seen."""


def object_of(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """A JSON object, for `object_pairs_hook`. Raises RepeatedKey."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise RepeatedKey(f"the key {twice!r} stands twice in one object")
    return found


def _record_with_repeated(text: str) -> str:
    """Which record of a list has a key twice; empty where the text is no list."""
    if not text.lstrip().startswith("["):
        return ""
    decoder, number, at = json.JSONDecoder(object_pairs_hook=object_of), 1, text.index("[") + 1
    with suppress(RepeatedKey):
        while found := _BETWEEN.match(text, at):
            _, at = decoder.raw_decode(text, found.end())
            number += 1
    return f"record {number}"


def _parsed(name: str, text: str, *, line: str = "") -> Json:
    """What a text of a file holds; `line` says which of the file's lines it is, where it is one."""
    where = ", ".join(filter(None, (name, line)))
    try:
        return json.loads(text, object_pairs_hook=object_of)
    except RepeatedKey as error:
        what, where = str(error), ", ".join(filter(None, (name, line or _record_with_repeated(text))))
    except json.JSONDecodeError as error:
        what, at = f"not JSON: {error.msg}", line or f"line {error.lineno}"
        where = f"{name}, {at}, column {error.colno}"
    except (RecursionError, ValueError) as error:
        what = f"not JSON: {error}"
    raise BadData(what, where=where)


def _list(name: str, text: str) -> Json:
    value = _parsed(name, text)
    if not _is(value, list):
        raise BadData(f"the file {_mismatch(value, list)} of records", where=name)
    return value


def _lines(name: str, text: str) -> Iterator[Json]:
    """Only a line feed ends a line: U+2028 and its like may stand in a JSON text as they are."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not name.lower().endswith((".jsonl", ".ndjson")) and len(lines) > 1 and lines[0][1].strip() == "{":
        raise BadData("the file is an object, not a list of records", where=name)
    for number, line in lines:
        yield _parsed(name, line, line=f"line {number}")


def _table(name: str, text: str) -> Iterator[Json]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if name.lower().endswith(".tsv") else ",")
    try:
        yield from ({key: value for key, value in line.items() if key is not None} for line in reader)
    except csv.Error as error:
        raise BadData(f"not CSV: {error}", where=f"{name}, line {reader.line_num + 1}") from None


def _row(record: Json, place: str, number: int) -> Row:
    where = f"{place}, record {number}"
    if not _is(record, dict):
        raise BadData(f"the record {_mismatch(record, dict)}", where=where)
    return Row(values=record, place=where, number=number)


def _mismatch(value: Json, kind: type[Any]) -> str:
    return f"is {_KINDS[type(value)]}, not {_KINDS[kind]}"


def _is(value: Json, kind: type[Any]) -> bool:
    return isinstance(value, kind)
