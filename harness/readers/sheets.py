"""The first sheet of an Excel workbook (`.xlsx`) as records: a zip of XML, read with the standard library.

A cell is a text, a number, true or false; a date is the number that Excel keeps. Formulas are not computed: the value
that was saved with them counts. A workbook comes from elsewhere: its parts are limited in size, and one that declares
entities is refused, so that no small file becomes a large one.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from harness.types import Json

PART_LIMIT: Final = 256 << 20  #: bytes of one part, unpacked
#: what reading a workbook can raise
FAULTS: Final = (ValueError, LookupError, zipfile.BadZipFile, zlib.error, ET.ParseError, EOFError, RuntimeError)
_RELATION: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def read_sheet(data: bytes) -> Iterator[dict[str, Json]]:
    """The records of the first sheet, by the names in its first row that has any; empty cells and rows are left out.

    Raises:
        ValueError: a part is too large or declares entities, or two columns have one name; and what FAULTS names.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        workbook, relations = _read_part(book, "xl/workbook.xml"), _read_part(book, "xl/_rels/workbook.xml.rels")
        first = next(workbook.iter(_tag(workbook, "sheet")), None)
        related = [] if first is None else [each for each in relations if each.get("Id") == first.get(_RELATION)]
        if not related:
            raise ValueError("it has no sheet")
        place = related[0].get("Target", "")
        place = place.lstrip("/") if place.startswith("/") else posixpath.normpath(f"xl/{place}")
        sheet = _read_part(book, place)
        shared: list[str] = []  # texts that cells name by their number
        if "xl/sharedStrings.xml" in book.namelist():
            shared = [_read_text(item) for item in _read_part(book, "xl/sharedStrings.xml")]
    names: dict[int, str] = {}
    for row in sheet.iter(_tag(sheet, "row")):
        cells = dict(_read_cells(row, shared))
        if not names:
            names = {column: str(name).strip() for column, name in cells.items() if str(name).strip()}
            if len(set(names.values())) < len(names):
                raise ValueError("two columns have one name")
        elif found := {names[column]: value for column, value in cells.items() if column in names}:
            yield found


def _read_part(book: zipfile.ZipFile, name: str) -> ET.Element:
    part = book.getinfo(name)
    if part.file_size > PART_LIMIT:
        raise ValueError(f"its part {name} has more than {PART_LIMIT} bytes")
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"its part {name} is packed as in no workbook")
    with book.open(name) as file:
        text = file.read(PART_LIMIT + 1)
    if len(text) > PART_LIMIT or b"<!DOCTYPE" in text:
        raise ValueError(f"its part {name} is too large, or declares entities")
    if b"\0" in text:  # UTF-16 or UTF-32, in which the look above finds nothing
        raise ValueError(f"its part {name} is not UTF-8")
    return ET.fromstring(text)  # noqa: S314 # without a DOCTYPE there are no entities to expand


def _tag(element: ET.Element, name: str) -> str:
    """A name in an element's own namespace."""
    return f"{element.tag.rpartition('}')[0]}}}{name}" if element.tag.startswith("{") else name


def _read_text(item: ET.Element) -> str:
    """A text, whole or in runs; how to pronounce it is left out."""
    direct = [each for each in item if each.tag in {_tag(item, "t"), _tag(item, "r")}]
    return "".join(
        (text.text or "")
        for each in direct
        for text in ([each] if each.tag == _tag(item, "t") else each.iter(_tag(item, "t")))
    )


def _read_cells(row: ET.Element, shared: list[str]) -> Iterator[tuple[int, Json]]:
    """Column, from 0, and value of each cell of a row that has one."""
    column = -1
    for cell in row.iter(_tag(row, "c")):
        letters = re.match(r"[A-Z]+", cell.get("r", ""))
        column = column + 1
        if letters:
            column = -1
            for letter in letters[0]:
                column = 26 * (column + 1) + ord(letter) - ord("A")
        kind, value = cell.get("t", "n"), cell.findtext(_tag(cell, "v"))
        inline = cell.find(_tag(cell, "is"))
        if kind == "inlineStr" and inline is not None:
            yield column, _read_text(inline)
        elif value is not None and kind == "s":
            yield column, shared[int(value)]
        elif value is not None and kind == "b":
            yield column, value == "1"
        elif value is not None and kind == "n":
            number = float(value)
            yield column, int(number) if number.is_integer() else number
        elif value is not None and kind != "e":  # what a formula that failed shows is no value
            yield column, value
