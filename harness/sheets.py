"""Text of strangers in a spreadsheet: a cell that begins like a formula would be one, wherever it came from.

And sheets that come back from people: filled in, saved by whatever program, with mistakes to be told row by row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import BadData
from harness.terminal import plain

#: what a spreadsheet takes for the beginning of a formula
FORMULA: Final = ("=", "+", "-", "@")
_NAMED: Final = 20  # wrong rows that are told
_LARGEST: Final = 1 << 24  # characters of one cell


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One row that is not empty; `number` is the one a spreadsheet shows beside it, cells are found by column."""

    number: int
    cells: Mapping[str, str]


def defused(text: str) -> str:
    """The text without control characters; with an apostrophe in front where it begins like a formula."""
    text = plain(text)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def restored(text: str) -> str:
    """What `defused` was given, but for control characters."""
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA) else text


def sheet(data: bytes, where: str) -> tuple[tuple[str, ...], tuple[SheetRow, ...]]:
    """The columns and the rows of a CSV file, commas, semicolons or tabs between cells.

    Args:
        data: the file, in UTF-8.
        where: its name, for errors.

    Raises:
        BadData: it is no UTF-8 or no CSV, or two columns have one name.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(
            f"the file is not UTF-8 at byte {error.start}", where=where, remedy="save it as CSV UTF-8"
        ) from None
    lines = _lines(text, where)
    names = tuple(name.strip().casefold() for name in lines[0]) if lines else ()
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise BadData(f"two columns are called {twice[0]!r}", where=where)
    return names, tuple(_filled(names, lines[1:]))


def told(problems: Sequence[str]) -> str:
    """What is wrong, each beginning `row N:`, in the order of the rows; the first ones where there are many."""
    ordered = sorted(problems, key=lambda each: int(each.partition(":")[0].removeprefix("row ")))
    more = [f"… and {len(ordered) - _NAMED} more"] if len(ordered) > _NAMED else []
    rows = "1 row is wrong" if len(ordered) == 1 else f"{len(ordered)} rows are wrong"
    return "\n  ".join([f"{rows}:", *ordered[:_NAMED], *more])


def _lines(text: str, where: str) -> list[list[str]]:
    head = text.partition("\n")[0]
    before = csv.field_size_limit(_LARGEST)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True))
    except csv.Error as error:
        raise BadData(f"not CSV: {error}", where=where) from None
    finally:
        csv.field_size_limit(before)


def _filled(names: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[SheetRow]:
    for number, line in enumerate(lines, 2):
        cells = {name: restored(cell.strip()) for name, cell in zip(names, line, strict=False)}
        if any(cells.values()):
            yield SheetRow(number=number, cells=cells)
