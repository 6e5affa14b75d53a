"""What a reader must know: how to read the sheets, the boards' notes, and whose the data is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.board.flagged import flagged
from harness.board.values import Board

from .cells import Column

_LEGEND = (
    "A rank is one more than the number of rows whose whole interval is better; who cannot be told apart, share it.",
    "Bold is best, underlined is second: only where the difference is significant.",
    "Coverage is the share of the records that have a result; what is unresolved is in no denominator.",
    "Percent runs from 0 to 100; a number is shown rounded, and the cell holds it in full.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the sheet."""

    about: str
    kind: str
    told: str


NOTES: Sequence[Column[Note]] = (
    Column("About", lambda note: note.about),
    Column("Kind", lambda note: note.kind),
    Column("Note", lambda note: note.told),
)


def notes(boards: Sequence[Board]) -> Iterator[Note]:
    """The legend, then board by board; the data of a task once."""
    yield from (Note(about="all sheets", kind="how to read", told=told) for told in _LEGEND)
    for board in boards:
        yield from (Note(about=board.name, kind="note", told=told) for told in (*board.notes, *flagged(board)))
    yield from dict.fromkeys(_data(boards))


def _data(boards: Sequence[Board]) -> Iterator[Note]:
    for board in boards:
        for row in board.rows:
            said = (("source", row.source), ("revision", row.data_revision), ("licence", row.licence or "none stated"))
            told = ", ".join(f"{name}: {value}" for name, value in said if value)
            yield Note(about=board.task, kind="data", told=told)
