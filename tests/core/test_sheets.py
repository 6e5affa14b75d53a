"""The first sheet of a workbook as records, read without a library for it."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from harness import BadData, MissingData
from harness.readers import open_files, rows
from harness.readers.sheets import read_sheet


def workbook(records: list[list[Any]], **more: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for each in records:
        sheet.append(each)
    for name, content in more.items():
        other = book.create_sheet(name)
        for each in content:
            other.append(each)
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def repacked(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The workbook with one part changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for each in old.namelist():
            new.writestr(each, change(old.read(each)) if each == name else old.read(each))
    return made.getvalue()


def test_texts_numbers_and_flags_are_read_by_the_names_in_the_first_row() -> None:
    data = workbook([["name", "n", "share", "on"], ["a < b & “c”\n", 3, 0.5, True], ["d", 4.0, -1.25, False]])
    assert list(read_sheet(data)) == [
        {"name": "a < b & “c”\n", "n": 3, "share": 0.5, "on": True},
        {"name": "d", "n": 4, "share": -1.25, "on": False},
    ]


def test_an_empty_cell_is_an_absent_field_and_an_empty_row_and_a_nameless_column_are_left_out() -> None:
    data = workbook([["a", None, "c"], ["1", "x", None], [None, None, None], [None, "y", "2"]])
    assert list(read_sheet(data)) == [{"a": "1"}, {"c": "2"}]


def test_columns_beyond_z_keep_their_place_where_cells_before_them_are_empty() -> None:
    names = [f"c{number}" for number in range(60)]
    line: list[Any] = [None] * 60
    line[27], line[59] = "ab", "bh"
    assert list(read_sheet(workbook([names, line]))) == [{"c27": "ab", "c59": "bh"}]


def test_only_the_first_sheet_is_read() -> None:
    assert list(read_sheet(workbook([["a"], ["1"]], other=[["b"], ["2"]]))) == [{"a": "1"}]


def test_a_workbook_is_read_as_records_with_its_name_and_record_number(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(workbook([["a", "b"], ["1", "x"], [None, "y"]]))
    first, second = rows(open_files(tmp_path), "no.csv", "t.xlsx")
    assert (first.text("a"), first.number) == ("1", 1)
    with pytest.raises(BadData) as caught:
        second.text("a")
    assert caught.value.where == "t.xlsx, record 2, field a"


def test_a_workbook_that_is_not_there_is_missing_data(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"t\.xlsx"):
        rows(open_files(tmp_path), "t.xlsx")


SPREADSHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org"


def test_texts_that_a_workbook_shares_are_read_whole_without_how_they_are_pronounced() -> None:
    parts = {
        "xl/workbook.xml": f'<workbook {SPREADSHEET} xmlns:r="{RELATIONS}/officeDocument/2006/relationships"><sheets>'
        '<sheet name="one" r:id="rId7"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{RELATIONS}/package/2006/relationships">'
        '<Relationship Id="rId7" Target="/xl/worksheets/first.xml"/></Relationships>',
        "xl/sharedStrings.xml": f"<sst {SPREADSHEET}><si><t>a</t></si>"
        "<si><r><t>one </t></r><r><t>two</t></r><rPh><t>no</t></rPh></si></sst>",
        "xl/worksheets/first.xml": f"<worksheet {SPREADSHEET}><sheetData>"
        '<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c><c t="e"><v>#N/A</v></c></row>'
        "</sheetData></worksheet>",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        for name, text in parts.items():
            file.writestr(name, text)
    assert list(read_sheet(made.getvalue())) == [{"a": "one two"}]


def test_the_names_are_those_of_the_first_row_that_has_any() -> None:
    assert list(read_sheet(workbook([[None], ["a", "b"], ["1", "2"]]))) == [{"a": "1", "b": "2"}]


GOOD = workbook([["a"], ["1"]])
SHEET = "xl/worksheets/sheet1.xml"


def packed(data: bytes, kind: int) -> bytes:
    """The workbook with its sheet packed in another way."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for each in old.namelist():
            new.writestr(each, old.read(each), kind if each == SHEET else zipfile.ZIP_STORED)
    return made.getvalue()


def in_utf_16(text: bytes) -> bytes:
    """A part with an entity that no look at its bytes as UTF-8 finds."""
    body = text.decode().partition("?>")[2] if text.startswith(b"<?xml") else text.decode()
    return ('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY e "e">]>' + body).encode("utf-16")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no zip", "not an Excel workbook"),
        (GOOD[:200], "not an Excel workbook"),
        (repacked(GOOD, SHEET, lambda text: text[:-30]), "not an Excel workbook"),
        (
            repacked(GOOD, SHEET, lambda text: b'<!DOCTYPE x [<!ENTITY e "e">]>' + text),
            "declares entities",
        ),
        (workbook([["a", "a"], ["1", "2"]]), "two columns have one name"),
        (repacked(GOOD, SHEET, in_utf_16), "is not UTF-8"),
        (
            repacked(
                GOOD, SHEET, lambda text: text.replace(b"<sheetData>", b'<sheetData><row><c t="s"><v>9</v></c></row>')
            ),
            "not an Excel workbook",
        ),
        (packed(GOOD, zipfile.ZIP_LZMA), "packed as in no workbook"),
    ],
)
def test_what_is_no_workbook_or_a_hostile_one_is_bad_data_with_its_name(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "t.xlsx").write_bytes(data)
    with pytest.raises(BadData, match=said) as caught:
        rows(open_files(tmp_path), "t.xlsx")
    assert caught.value.where == "t.xlsx"
