"""The workbook: a sheet per board, one of the means over suites, one of all numbers, one of notes.

Each number has its own cell, for sorting and computing. Text is always written as text, never as a formula, a number or
a link. The same results make the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import xlsxwriter  # type: ignore[import-untyped]

from harness.board.corrected import CorrectedNumber
from harness.board.leaderboard import Board, boards, find_standing, list_flags
from harness.board.rows import Measure, Row
from harness.board.sheet import COLUMNS, Cell, list_lines
from harness.board.suites import Mean, means
from harness.contracts import Results
from harness.text import one_line

_T = TypeVar("_T")

_OPTIONS: Final = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}
_EPOCH: Final = datetime(1980, 1, 1)  # noqa: DTZ001 - file times have no zone
_MOST_NAME: Final = 31  #: most characters of a sheet name
_MOST_TEXT: Final = 32_000  #: most characters of a cell; Excel drops longer ones
_NARROW, _WIDE = 6, 60  #: widths of a column, in characters
_NO_XML: Final[dict[int, None]] = dict.fromkeys((0xFFFE, 0xFFFF))  #: characters that no XML file may hold
_COUNT, _SHARE, _MEAN = "0", "0.0%", "0.000"  #: number formats
_LEGEND: Final = (
    "A rank is one more than the number of rows whose whole interval is better; who cannot be told apart, share it.",
    "Bold is best, underlined is second: only where the difference is significant.",
    "Coverage is the share of the records that have a result; what is unresolved is in no denominator.",
    "Percent runs from 0 to 100; a number is shown rounded, and the cell holds it in full.",
)


@dataclass(frozen=True, slots=True)
class Column(Generic[_T]):
    """One column of a sheet.

    Attributes:
        head: its name.
        cell: its value in a row; None is an empty cell.
        format: Excel's number format; empty for plain numbers.
        mark: highlight in a row: `best`, `second`, or nothing.
    """

    head: str
    cell: Callable[[_T], Cell]
    format: str = ""
    mark: Callable[[_T], str] = lambda _: ""


_MEANS: Final[Sequence[Column[Mean]]] = (
    Column("Model", lambda mean: mean.model),
    Column("Suite", lambda mean: mean.suite),
    Column("Mean", lambda mean: mean.value, _MEAN),
    Column("95% low", lambda mean: mean.ci95[0], _MEAN),
    Column("95% high", lambda mean: mean.ci95[1], _MEAN),
    Column("Unit", lambda mean: mean.unit),
    Column("Better", lambda mean: mean.better),
    Column("Complete", lambda mean: mean.complete),
    Column("Of", lambda mean: mean.sources),
    Column("Missing", lambda mean: ", ".join(mean.missing)),
)
_NOTES: Final[Sequence[Column[tuple[str, str, str]]]] = (
    Column("About", lambda note: note[0]),
    Column("Kind", lambda note: note[1]),
    Column("Note", lambda note: note[2]),
)


def build_workbook(results: Sequence[Results]) -> bytes:
    """The bytes of the file."""
    out = io.BytesIO()
    book: Any = xlsxwriter.Workbook(out, _OPTIONS)
    ends = [time for run in results if (time := _parse_time(run["finished"])) is not None]
    book.set_properties({"title": "Leaderboard", "created": max(ends, default=_EPOCH)})
    writer = _SheetWriter(book)
    every, suites = boards(results), means(results)
    for board in every:
        writer.write(board.name, list(_list_columns(board)), board.rows)
    if suites:
        writer.write("Suites", _MEANS, suites)

    def pick_column(name: str) -> Column[Mapping[str, Cell]]:
        return Column(name, lambda line: line.get(name))

    numbers = [pick_column(name) for name in COLUMNS]
    writer.write("All numbers", numbers, list(list_lines(every, suites)))
    writer.write("Notes", _NOTES, list(_list_notes(every)))
    book.close()
    return out.getvalue()


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError):
        return None


def _list_columns(board: Board) -> Iterator[Column[Row]]:
    """All columns of one board; the main metric has its interval and denominator."""
    yield Column("Rank", lambda row: row.rank, _COUNT)
    yield Column("Model", lambda row: row.model)
    for measure in board.measures:
        name, look = measure.name, "0.0" if measure.unit == "%" else _MEAN
        unit = " %" if measure.unit == "%" else ""
        better = "" if measure.better == "neither" else f" ({measure.better} is better)"
        mark: Callable[[Row], str] = (lambda row: find_standing(board, row)) if measure.main else (lambda _: "")
        yield Column(f"{name}{unit}{better}", _pick(name, lambda mine: mine.value), look, mark)
        if measure.main:
            yield Column(f"{name} 95% low", _pick(name, lambda mine: mine.ci95[0]), look)
            yield Column(f"{name} 95% high", _pick(name, lambda mine: mine.ci95[1]), look)
            yield Column("Numerator", _pick(name, lambda mine: mine.numerator))
            yield Column("Denominator", _pick(name, lambda mine: mine.denominator))
            yield Column("Unresolved", _pick(name, lambda mine: mine.unresolved))
            if board.shows_corrected:
                yield Column(f"{name} by people{unit}", _pick_corrected(name, lambda found: found.value), look)
                yield Column("By people 95% low", _pick_corrected(name, lambda found: found.ci95[0]), look)
                yield Column("By people 95% high", _pick_corrected(name, lambda found: found.ci95[1]), look)
                yield Column("Labels", _pick_corrected(name, lambda found: found.labels), _COUNT)
                yield Column("By people none because", _pick_corrected(name, lambda found: found.why))
    yield Column("n", lambda row: row.n, _COUNT)
    yield Column("Epochs", lambda row: row.epochs, _COUNT)
    yield Column("Coverage", lambda row: row.coverage, _SHARE)
    yield Column("Complete", lambda row: row.complete)
    yield Column("Blocked", lambda row: row.blocked, _COUNT)
    yield Column("Errors", lambda row: row.outcomes.get("error", 0) + row.outcomes.get("bad_sample", 0), _COUNT)
    if any(row.outcomes.get("unanswered") for row in board.rows):
        yield Column("Unanswered", lambda row: row.outcomes.get("unanswered", 0), _COUNT)
    yield Column("Judge", lambda row: row.judge.label)
    yield Column("Input wording", lambda row: row.fidelity)
    yield Column("Not ranked because", lambda row: row.unranked)
    yield Column("Flags", lambda row: row.caution_kinds)
    yield Column("Model revision", lambda row: row.model_revision)
    yield Column("Finished", lambda row: row.finished)


def _pick(name: str, cell: Callable[[Measure], Cell]) -> Callable[[Row], Cell]:
    """A cell of a row's metric; empty if the row lacks it."""
    return lambda row: None if (mine := row.find_measure(name)) is None else cell(mine)


def _pick_corrected(name: str, cell: Callable[[CorrectedNumber], Cell]) -> Callable[[Row], Cell]:
    """A cell of what people's labels say of a row's metric; empty without labels."""
    return _pick(name, lambda mine: None if mine.corrected is None else cell(mine.corrected))


def _list_notes(boards: Sequence[Board]) -> Iterator[tuple[str, str, str]]:
    """Notes for readers: how to read the sheets, the boards' notes, and each task's data source."""
    yield from (("all sheets", "how to read", text) for text in _LEGEND)
    data: dict[tuple[str, str, str], None] = {}
    for board in boards:
        yield from ((board.name, "note", text) for text in (*board.notes, *list_flags(board)))
        for row in board.rows:
            facts = {"source": row.source, "revision": row.data_revision, "licence": row.licence or "none stated"}
            text = ", ".join(f"{name}: {value}" for name, value in facts.items() if value)
            data[board.task, "data", text] = None
    yield from data


class _SheetWriter:
    """Writes sheets of one workbook: columns over rows, with a frozen head, a filter, and fitting widths."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._names: set[str] = set()
        self._formats: dict[tuple[str, str], Any] = {}

    def write(self, name: str, columns: Sequence[Column[_T]], rows: Sequence[_T]) -> None:
        """Add a sheet, under another name if its own is taken or Excel refuses it."""
        sheet = self._book.add_worksheet(self._choose_name(name))
        for place, column in enumerate(columns):
            sheet.write_string(0, place, _clean(column.head), self._format("", "head"))
            width = max(_NARROW, len(column.head) + 2)
            for number, row in enumerate(rows, 1):
                cell, look = column.cell(row), self._format(column.format, column.mark(row))
                if isinstance(cell, bool):
                    sheet.write_boolean(number, place, cell, look)
                elif isinstance(cell, int | float):
                    sheet.write_number(number, place, cell, look)
                elif cell:
                    sheet.write_string(number, place, _clean(cell), look)
                    width = max(width, len(_clean(cell)))
            sheet.set_column(place, place, min(_WIDE, width))
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, len(rows), max(len(columns) - 1, 0))

    def _choose_name(self, name: str) -> str:
        safe = re.sub(r"[\[\]:*?/\\]+", " ", _clean(name)).strip(" '")[:_MOST_NAME].rstrip(" '")
        safe = "Sheet" if safe.lower() in ("", "history") else safe
        tries = (safe if number == 1 else f"{safe[: _MOST_NAME - 7]} ({number})" for number in range(1, 100_000))
        free = next(each for each in tries if each.casefold() not in self._names)
        self._names.add(free.casefold())
        return free

    def _format(self, number: str, mark: str) -> Any:
        """The cached format of a number and its mark."""
        if (number, mark) not in self._formats:
            look: dict[str, object] = {"num_format": number} if number else {}
            look |= {"bold": mark in ("head", "best"), "underline": int(mark == "second")}
            look |= {"bottom": 1, "text_wrap": True, "valign": "top"} if mark == "head" else {}
            self._formats[number, mark] = self._book.add_format(look)
        return self._formats[number, mark]


def _clean(text: str) -> str:
    """A text for a cell: one line, without characters that XML forbids."""
    return one_line(text, _MOST_TEXT).translate(_NO_XML)
