"""Data files read record by record, and images that lie in their cells in base64; for task files.

A cell with an image reads as its place, `data.tsv#image/10240`: file, column, and where its record begins. So listing a
file keeps no image in memory, and `DataFiles.image` opens one when it is used, by reading that record again. In a JSON
file the place names the number of the record, since such a file is read as a whole; in the other kinds it is the byte
at which the record begins. Several images of one cell add their number: `data.tsv#image/10240/2`.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Final, cast

from harness.errors import BadData, BadImage, MissingData
from harness.readers.places import CELL
from harness.readers.records import Row, describe_mismatch, parquet_rows, parse_json, rows
from harness.types import Json

if TYPE_CHECKING:
    from harness.readers.files import DataFiles

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".xlsx")
#: what reading a cell can raise besides BadImage
FAULTS: Final = (OSError, ValueError, KeyError, RecursionError, csv.Error)
_BOM: Final = b"\xef\xbb\xbf"
_SAVE: Final = "save the file as UTF-8"
_FIELD: Final = 1 << 30  #: bytes of a cell; the limit of `csv` is far below an image
_LIMIT_LOCK: Final = Lock()
_REFERENCE: Final = re.compile(r"\d{1,20}")
_LISTS: Final = (".jsonl", ".ndjson")


def read_table(files: DataFiles, name: str, *, cells: Collection[str] = ()) -> Iterator[Row]:
    """The records of one file, lazily (a workbook as a whole); an empty cell of CSV or of a workbook is null.

    Args:
        files: of the data root.
        name: of the file; a parquet file may be named by a pattern with `*`.
        cells: columns that hold images in base64, which read as places. A cell of digits alone stays: some files name
            another record whose image is shown.

    Raises:
        MissingData: there is no such file.
        BadData: it cannot be read as its ending says; the message names the record or line.
    """
    kind = suffix(name)
    if kind == ".parquet":
        return parquet_rows(files, name)
    if not kind:
        raise BadData(f"{name} is not a kind of file that is read", where=name, remedy=f"known: {', '.join(SUFFIXES)}")
    if kind == ".xlsx":
        return _read_workbook(files, name, cells)
    place = _find_file(files, name)
    if kind == ".json":
        return _read_json(place, name, cells)
    return _read_lines(place, name, cells) if kind in _LISTS else _read_csv(place, name, cells)


def _read_workbook(files: DataFiles, name: str, cells: Collection[str]) -> Iterator[Row]:
    """The records of the first sheet, each with all columns."""
    found = rows(files, name)
    columns = dict.fromkeys(column for row in found for column in row.values)
    if wrong := next((column for column in cells if column in columns), None):
        what = "images in the cells of a workbook are not read"
        raise BadData(
            what, where=f"{name}, field {wrong}", remedy="save it as CSV, or name the images' files in the cells"
        )
    for row in found:
        yield replace(row, values={**dict.fromkeys(columns), **row.values})


def suffix(name: str) -> str:
    """The ending that says a file's kind; empty for one that is not read."""
    return next((ending for ending in SUFFIXES if name.lower().endswith(ending)), "")


def read_header(files: DataFiles, name: str) -> tuple[str, ...]:
    """The columns of a CSV or TSV file. Raises as `read_table` does."""
    with _open(_find_file(files, name), name) as file:
        return _read_header(file, name)[0]


def read_cell(table: Path, column: str, start: int, number: int | None) -> bytes:
    """The image in a cell. Raises one of FAULTS, or BadImage for text that is no base64."""
    kind = suffix(table.name)
    if kind == ".json":
        stamp = table.stat()
        cell = _load_json(table, stamp.st_size, stamp.st_mtime_ns)[start - 1][column]
    elif kind in _LISTS:
        with table.open("rb") as file:
            file.seek(start)
            cell = json.loads(file.readline())[column]
    else:
        with table.open("rb") as file:
            columns, _ = _read_header(file, table.name)
            file.seek(start)
            _, record = next(_split_records(file, start, table.name))
            cell = record[columns.index(column)]
            cell = cell.decode() if isinstance(cell, bytes) else cell
    if number is not None:
        cell = as_list(cell)[number - 1]
    return decode_image(str(cell), f"{table.name}#{column}/{start}")


def decode_image(text: str, place: str) -> bytes:
    """The bytes of an image in base64, with or without `data:image/…;base64,`. Raises BadImage."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadImage(place, "unreadable", f"not base64: {error}") from None


def as_list(cell: Json) -> list[Json]:
    """The values of a cell that holds several, as a list or as the text of a list. Raises ValueError."""
    value: Json = cell
    if isinstance(cell, str):
        try:
            value = json.loads(cell)
        except RecursionError:
            raise ValueError("a list that is nested too deeply") from None
        except ValueError:
            try:
                value = ast.literal_eval(cell)
            except (SyntaxError, MemoryError, TypeError, RecursionError) as error:
                raise ValueError(f"not a list: {error}") from None
    if not isinstance(value, list | tuple):
        raise ValueError("not a list")  # noqa: TRY004 - one kind of fault for a cell
    return list(cast("Sequence[Json]", value))


def is_place(value: Json) -> bool:
    """Whether a value is the place of an image in a cell."""
    return isinstance(value, str) and re.fullmatch(CELL, value) is not None


def _find_file(files: DataFiles, name: str) -> Path:
    try:
        place = Path(files.stamp(name)[0])
    except BadImage as fault:
        if fault.reason == "missing":
            raise MissingData(f"{name} is not there", where=str(files.root)) from None
        raise BadData("the file cannot be read", where=f"{files.root}: {fault}") from None
    if not place.is_file():
        raise BadData("a table inside an archive is not read", where=str(place), remedy="unpack the archive")
    return place


def _open(place: Path, name: str) -> IO[bytes]:
    try:
        return place.open("rb")
    except OSError as error:
        raise BadData(f"the file cannot be read: {error.strerror}", where=name) from None


def _put_places(column: str, cell: str | list[Json], *, name: str, start: int) -> Json:
    """What a cell with images reads as."""
    place = f"{name}#{column}/{start}"
    if isinstance(cell, str) and not cell.lstrip().startswith("["):
        return cell if _REFERENCE.fullmatch(cell) else place
    return [f"{place}/{number}" for number in range(1, len(as_list(cell)) + 1)]


# CSV and TSV


def _read_csv(place: Path, name: str, cells: Collection[str]) -> Iterator[Row]:
    with _open(place, name) as file:
        columns, start = _read_header(file, name)
        for number, (at, record) in enumerate(_split_records(file, start, name), 1):
            where = f"{name}, record {number}"
            if len(record) != len(columns):
                what = f"the record has {len(record)} cells, and the header names {len(columns)}"
                raise BadData(what, where=where, remedy="quote a cell that holds the separator or a line break")
            values: dict[str, Json] = {}
            for column, cell in zip(columns, record, strict=True):
                try:
                    text = cell.decode() if isinstance(cell, bytes) else cell
                    values[column] = (
                        (_put_places(column, text, name=name, start=at) if column in cells else text) if text else None
                    )
                except UnicodeDecodeError as error:
                    at_field = f"{where}, field {column}"
                    raise BadData(f"the cell is not UTF-8: {error}", where=at_field, remedy=_SAVE) from None
                except ValueError as error:
                    raise BadData(f"the cell is {error}", where=f"{where}, field {column}") from None
            yield Row(values=values, place=where, number=number)


def _read_header(file: IO[bytes], name: str) -> tuple[tuple[str, ...], int]:
    """The columns, and where the first record begins; the file stands there."""
    start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(start)
    found = next(_split_records(file, start, name), None)
    if found is None:
        raise BadData("the file is empty", where=name, remedy="its first line names the columns")
    try:
        columns = tuple((cell.decode() if isinstance(cell, bytes) else cell).strip() for cell in found[1])
    except UnicodeDecodeError as error:
        raise BadData(f"the header is not UTF-8: {error}", where=name, remedy=_SAVE) from None
    if len(columns) == 1 and ";" in columns[0]:
        remedy = "write it with commas, or with tabs as .tsv"
        raise BadData("the header looks separated by semicolons", where=name, remedy=remedy)
    if len(set(columns)) < len(columns):
        twice = next(column for number, column in enumerate(columns) if column in columns[:number])
        raise BadData(f"the header names the column {twice!r} twice", where=name)
    return columns, file.tell()


def _split_records(file: IO[bytes], start: int, name: str) -> Iterator[tuple[int, Sequence[bytes | str]]]:
    """Each record from `start` on, where the file stands, with the byte at which it begins.

    A record without a quote is only cut, which is fast for large cells.
    """
    sign = "\t" if name.lower().endswith(".tsv") else ","
    cut = sign.encode()
    at = start
    while line := file.readline():
        if b'"' in line:
            yield at, _read_quoted(line, file, sign, name)
            at = file.tell()
            continue
        if body := line.rstrip(b"\r\n"):
            yield at, body.split(cut)
        at += len(line)


def _read_quoted(first: bytes, file: IO[bytes], sign: str, name: str) -> list[str]:
    """A record with quotes, which may go on over several lines."""

    def feed() -> Iterator[str]:
        yield first.decode()
        while line := file.readline():
            yield line.decode()

    with _LIMIT_LOCK:  # the limit is of this process, so it is put back; samples are read in several threads
        before = csv.field_size_limit(_FIELD)
        try:
            return next(csv.reader(feed(), delimiter=sign, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            begin = first[:40].decode(errors="replace")
            what = f"not {'TSV' if sign != ',' else 'CSV'}: {error}"
            raise BadData(what, where=f"{name}, the record that begins with {begin!r}") from None
        finally:
            csv.field_size_limit(before)


# JSON


def _read_lines(place: Path, name: str, cells: Collection[str]) -> Iterator[Row]:
    number = 0
    with _open(place, name) as file:
        at = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
        file.seek(at)
        line_number = 0
        while line := file.readline():
            start, at, line_number = at, at + len(line), line_number + 1
            if not line.strip():
                continue
            number += 1
            where = f"{name}, line {line_number}"
            try:
                value = parse_json(name, line.decode(), line=f"line {line_number}")
            except UnicodeDecodeError as error:
                raise BadData(f"the line is not UTF-8: {error}", where=where, remedy=_SAVE) from None
            yield _make_row(value, where, number, cells, partial(_put_places, name=name, start=start))


def _read_json(place: Path, name: str, cells: Collection[str]) -> Iterator[Row]:
    stamp = place.stat()
    for number, value in enumerate(_load_json(place, stamp.st_size, stamp.st_mtime_ns), 1):
        where = f"{name}, record {number}"
        yield _make_row(value, where, number, cells, partial(_put_places, name=name, start=number))


def _make_row(value: Json, where: str, number: int, cells: Collection[str], put: Callable[[str, Any], Json]) -> Row:
    if not isinstance(value, dict):
        raise BadData(f"the record {describe_mismatch(value, dict)}", where=where)
    values = dict(cast("Mapping[str, Json]", value))
    for column in cells:
        cell = values.get(column)
        if cell is None or cell == "":
            values[column] = None
        elif isinstance(cell, str | list):
            try:
                values[column] = put(column, cell)
            except ValueError as error:
                raise BadData(f"the value is {error}", where=f"{where}, field {column}") from None
    return Row(values=values, place=where, number=number)


@lru_cache(maxsize=1)
def _load_json(place: Path, _size: int, _mtime_ns: int) -> list[Any]:
    """The records of a JSON file: a list, the one list in an object, or an object whose values are objects.

    The keys of the latter are the column `key`, unless the records have one.
    """
    try:
        value = parse_json(place.name, place.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadData(f"the file is not UTF-8 at byte {error.start}", where=place.name, remedy=_SAVE) from None
    except OSError as error:
        raise BadData(f"the file cannot be read: {error.strerror}", where=place.name) from None
    found = cast("dict[str, Json]", value) if isinstance(value, dict) else {}
    if found:
        lists: list[list[Json]] = [
            each for each in found.values() if isinstance(each, list) and each and isinstance(each[0], dict)
        ]
        if len(lists) == 1:
            value = lists[0]
        elif not lists and all(isinstance(each, dict) for each in found.values()):
            return [{"key": key, **cast("dict[str, Json]", each)} for key, each in found.items()]
    if not isinstance(value, list):
        what = "the file is an object in which no one list of records can be told"
        if not isinstance(value, dict):
            what = f"the file {describe_mismatch(value, list)}"
        raise BadData(what, where=place.name)
    return cast("list[Any]", value)  # type: ignore[redundant-cast]  # pyright needs it
