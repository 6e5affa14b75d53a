"""The records of a data file one by one: a list of a gigabyte is never in memory as a whole.

`harness.readers.rows` gives all records at once and refuses a file for one of them. Here a bad record is a value among
the others, so that all of them can be counted.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

from harness import BadData, BadImage, Json, MissingData
from harness.readers import DataFiles, Row, parquet_rows
from harness.readers.records import RepeatedKey, object_of

from .draft import BadRecord

_PIECE: Final = 1 << 20  # characters read at once
_NEAR: Final = 16  # a fault so near to the end of a piece may only be the piece's end
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder(object_pairs_hook=object_of)


def stream(files: DataFiles, name: str) -> Iterator[Row | BadRecord]:
    """The records of a JSON list, of JSON lines or of a parquet file, in order.

    Raises:
        MissingData: the file is not there.
        BadData: it cannot be read as such.
    """
    if name.lower().endswith(".parquet"):
        yield from parquet_rows(files, name)
        return
    with _opened(files, name) as text:
        try:
            cursor = _Cursor(text)
            found = _lines(cursor.rest()) if cursor.next() == "{" else _items(name, cursor)
            for number, value in enumerate(found, 1):
                yield _row(value, f"{name}, record {number}", number)
        except UnicodeDecodeError as error:
            raise BadData(f"the file is not UTF-8: {error.reason}", where=name) from None


def bytes_of(files: DataFiles, name: str) -> io.BufferedIOBase:
    """A file of the data, open for reading: from the disk piece by piece, out of an archive at once.

    Raises:
        MissingData: it is not there.
        BadData: it cannot be read.
    """
    try:
        place = Path(files.stamp(name)[0])
        return place.open("rb") if place.is_file() else io.BytesIO(files.read(name))
    except BadImage as fault:
        if fault.reason == "missing":
            raise MissingData(f"{name} is not there", where=str(files.root)) from None
        raise BadData("the file cannot be read", where=str(fault)) from None
    except OSError as error:
        raise BadData(f"the file cannot be read: {error.strerror or error}", where=name) from None


def _opened(files: DataFiles, name: str) -> TextIO:
    return io.TextIOWrapper(cast("Any", bytes_of(files, name)), encoding="utf-8-sig", newline="\n")


def _row(value: Json | BadRecord, place: str, number: int) -> Row | BadRecord:
    if isinstance(value, BadRecord):
        value.where = place
        return value
    if not isinstance(value, dict):
        return BadRecord("a record that is no object", where=place)
    return Row(values=cast("dict[str, Json]", value), place=place, number=number)


def _lines(lines: Iterator[str]) -> Iterator[Json | BadRecord]:
    for line in lines:
        if line.strip():
            try:
                yield json.loads(line, object_pairs_hook=object_of)
            except RepeatedKey as error:
                yield BadRecord("a line with a key that stands twice", str(error))
            except (ValueError, RecursionError) as error:
                yield BadRecord("a line that is not JSON", f"not JSON: {error}")


def _items(name: str, cursor: _Cursor) -> Iterator[Json]:
    try:
        cursor.take("[")
        first = True
        while cursor.next() != "]":
            if not first:
                cursor.take(",")
            first = False
            cursor.next()
            yield cursor.value()
        cursor.take("]")
        cursor.take("")
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadData(f"not a JSON list of records: {said}", where=f"{name}, line {cursor.at_line()}") from None


@dataclass(slots=True)
class _Cursor:
    """A place in a text of which only a piece is held."""

    text: TextIO
    held: str = ""
    at: int = 0
    line: int = 1
    ended: bool = False

    def at_line(self) -> int:
        return self.line + self.held.count("\n", 0, self.at)

    def rest(self) -> Iterator[str]:
        """The lines from here on."""
        ahead = self.held[self.at :] + self.text.readline()
        yield from io.StringIO(ahead, newline="\n")
        yield from self.text

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            space = _SPACE.match(self.held, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.held) or self.ended:
                return self.held[self.at : self.at + 1]
            self._more()

    def take(self, wanted: str) -> None:
        found = self.next()
        if found != wanted:
            raise ValueError(f"{wanted or 'the end'} expected, not {found or 'the end'}")
        self.at += len(wanted)

    def value(self) -> Json:
        while True:
            try:
                value, end = _DECODER.raw_decode(self.held, self.at)
            except json.JSONDecodeError as error:
                if self.ended or not self._cut(error):
                    raise
            else:
                if end < len(self.held) or self.ended:
                    self.at = end
                    return value
            self._more()

    def _cut(self, error: json.JSONDecodeError) -> bool:
        """Whether it may be no fault, but only the end of what is held."""
        return error.msg.startswith("Unterminated string") or error.pos >= len(self.held) - _NEAR

    def _more(self) -> None:
        self.line = self.at_line()
        piece = self.text.read(max(_PIECE, len(self.held) - self.at))
        self.held, self.at, self.ended = self.held[self.at :] + piece, 0, not piece
