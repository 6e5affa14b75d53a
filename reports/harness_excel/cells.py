"""Cells: a sheet is columns over rows, with a head that stays, a filter, and widths that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from harness.longform import Cell
from harness.terminal import one_line

_T = TypeVar("_T")
_MOST_TEXT = 32_000  #: a cell that holds more would be left out
_NARROW, _WIDE = 6, 60  #: widths of a column, in characters
_NO_XML: dict[int, None] = dict.fromkeys((0xFFFE, 0xFFFF))  #: characters that no XML file may hold


@dataclass(frozen=True, slots=True)
class Column(Generic[_T]):
    """One column.

    Attributes:
        head: its name.
        cell: what it shows of a row; None is an empty cell.
        format: number format, as Excel spells it; empty for a number as it is.
        mark: what stands out in a row: `best`, `second`, or nothing.
    """

    head: str
    cell: Callable[[_T], Cell]
    format: str = ""
    mark: Callable[[_T], str] = lambda _: ""


class Style:
    """The formats of one workbook, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[str, str], Any] = {}

    def of(self, number: str = "", mark: str = "") -> Any:
        """The format of a number and of what stands out."""
        if (number, mark) not in self._made:
            look: dict[str, object] = {"num_format": number} if number else {}
            look |= {"bold": mark in ("head", "best"), "underline": int(mark == "second")}
            look |= {"bottom": 1, "text_wrap": True, "valign": "top"} if mark == "head" else {}
            self._made[number, mark] = self._book.add_format(look)
        return self._made[number, mark]


def fill(sheet: Any, columns: Sequence[Column[_T]], rows: Sequence[_T], style: Style) -> None:
    """Write a sheet."""
    for place, column in enumerate(columns):
        sheet.write_string(0, place, text(column.head), style.of(mark="head"))
        cells = [column.cell(row) for row in rows]
        for number, (row, cell) in enumerate(zip(rows, cells, strict=True), 1):
            _write(sheet, number, place, cell, style.of(column.format, column.mark(row)))
        sheet.set_column(place, place, _width(column, cells))
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, len(rows), max(len(columns) - 1, 0))


def text(value: str) -> str:
    """A text as a cell may hold it: one line, without what no XML file may hold."""
    return one_line(value, _MOST_TEXT).translate(_NO_XML)


def _write(sheet: Any, row: int, place: int, cell: Cell, look: Any) -> None:
    if isinstance(cell, bool):
        sheet.write_boolean(row, place, cell, look)
    elif isinstance(cell, int | float):
        sheet.write_number(row, place, cell, look)
    elif cell:
        sheet.write_string(row, place, text(cell), look)


def _width(column: Column[_T], cells: Sequence[Cell]) -> int:
    shown = [len(text(cell)) if isinstance(cell, str) else _NARROW for cell in cells if cell is not None]
    return min(_WIDE, max(_NARROW, len(column.head) + 2, *shown))
