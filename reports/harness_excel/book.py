"""The workbook: which sheets it has, under which names, and the time it says it was made at.

Text is always written as text, never as a formula, a number or a link. The same results make the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]

from harness.board.leaderboard import boards
from harness.board.means import means
from harness.contracts import Results
from harness.longform import COLUMNS, Cell, lines

from .boards import columns
from .cells import Column, Style, fill, text
from .notes import NOTES, notes
from .suites import MEANS

_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}
_LONGEST = 31  #: characters of a sheet's name
_EPOCH = datetime(1980, 1, 1)  # noqa: DTZ001 - a file's times have no zone


def workbook(results: Sequence[Results]) -> bytes:
    """The bytes of the file."""
    out = io.BytesIO()
    book: Any = xlsxwriter.Workbook(out, _OPTIONS)
    book.set_properties({"title": "Leaderboard", "created": _made(results)})
    style = Style(book)
    made, suites, taken = boards(results), means(results), set[str]()
    for board in made:
        fill(book.add_worksheet(_free(board.name, taken)), columns(board), board.rows, style)
    if suites:
        fill(book.add_worksheet(_free("Suites", taken)), MEANS, suites, style)
    everything = [_column(name) for name in COLUMNS]
    fill(book.add_worksheet(_free("All numbers", taken)), everything, list(lines(made, suites)), style)
    fill(book.add_worksheet(_free("Notes", taken)), NOTES, list(notes(made)), style)
    book.close()
    return out.getvalue()


def _column(name: str) -> Column[Mapping[str, Cell]]:
    return Column(name, lambda line: line.get(name))


def _made(results: Sequence[Results]) -> datetime:
    """When the last run ended."""
    ends = [time for run in results if (time := _time(run["finished"])) is not None]
    return max(ends, default=_EPOCH)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError):
        return None


def _free(name: str, taken: set[str]) -> str:
    """A name that Excel takes for a sheet, unlike those that are taken."""
    safe = re.sub(r"[\[\]:*?/\\]+", " ", text(name)).strip(" '")[:_LONGEST].rstrip(" '")
    safe = "Sheet" if safe.lower() in ("", "history") else safe
    tries = (safe if number == 1 else f"{safe[: _LONGEST - 7]} ({number})" for number in range(1, 100_000))
    found = next(each for each in tries if each.casefold() not in taken)
    taken.add(found.casefold())
    return found
