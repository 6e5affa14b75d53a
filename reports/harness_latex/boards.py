"""One board as a table. Who is marked best or second is the board's word: only a significant lead is."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping

from harness.board.display import share
from harness.board.flagged import flagged
from harness.board.standing import standing
from harness.board.values import Board, Measure, Row
from harness.tex import escape

from .tables import Column, head, interval, number, table

_MOST_METRICS = 4  #: a wider table leaves the page; the rest is named below it


def board_table(board: Board, label: str) -> str:
    """The float of one board."""
    notes = [*_notes(board), *_left_out(board)]
    return table(list(_columns(board)), board.rows, caption=_caption(board), label=label, notes=notes)


def _caption(board: Board) -> str:
    wording = _each(board, lambda row: row.fidelity)
    said = [
        f"{board.name}, a part of {board.part_of}" if board.part_of else board.name,
        f"Judge: {_each(board, lambda row: row.judge.label)}",
        f"Wording of the input: {wording}" if wording else "",
        "In brackets: 95% interval of the main number",
        "Coverage: share of the records that have a result",
    ]
    return " ".join(f"{escape(text)}." for text in said if text)


def _each(board: Board, shown: Callable[[Row], str]) -> str:
    """What the rows show, each thing once."""
    return "; ".join(dict.fromkeys(text for text in map(shown, board.rows) if text))


def _columns(board: Board) -> Iterator[Column[Row]]:
    if sum(row.rank is not None for row in board.rows) > 1:
        yield Column(head=r"\#", cell=lambda row: "" if row.rank is None else str(row.rank))
    letters = _letters(board)
    yield Column(head="Model", cell=lambda row: _model(row, letters), left=True)
    for measure in board.measures[:_MOST_METRICS]:
        yield Column(head=head(measure.name, measure.unit, measure.better), cell=_measured(board, measure))
    yield Column(head="$n$", cell=_samples)
    yield Column(head="Coverage", cell=lambda row: escape(share(row.coverage)))
    yield Column(head="Blocked", cell=lambda row: str(row.blocked))


def _letters(board: Board) -> Mapping[str, str]:
    """Kind of caution -> the letter that stands for it in this table."""
    kinds = dict.fromkeys(caution.kind for row in board.rows for caution in row.cautions)
    return dict(zip(kinds, string.ascii_lowercase, strict=False))


def _model(row: Row, letters: Mapping[str, str]) -> str:
    flags = ",".join(letters[caution.kind] for caution in row.cautions)
    marks = (r"\unranked{}" if row.unranked else "", rf"\flagged{{{flags}}}" if flags else "")
    return escape(row.model) + r"\,".join(mark for mark in marks if mark)


def _samples(row: Row) -> str:
    return str(row.n) if row.epochs == 1 else rf"{row.n} $\times$ {row.epochs}"


def _measured(board: Board, column: Measure) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        mine = next((each for each in row.measures if each.name == column.name), None)
        if mine is None:
            return number(None, column.unit)
        value = number(mine.value, mine.unit)
        if not mine.main:
            return value
        mark = standing(board, row)
        return (rf"\{mark}{{{value}}}" if mark else value) + interval(mine.ci95, mine.unit)

    return cell


def _notes(board: Board) -> Iterator[str]:
    """The board's own, with the dagger where one says why a row is not ranked, and the marks of its answers."""
    why = tuple(f"{row.model}: not ranked" for row in board.rows if row.unranked)
    for note in board.notes:
        yield (r"\unranked{} " if note.startswith(why) else "") + escape(note)
    yield from map(escape, flagged(board))
    letters = [rf"\flagged{{{letter}}} {escape(kind.replace('_', ' '))}" for kind, letter in _letters(board).items()]
    if letters:
        yield f"Flags: {', '.join(letters)}."


def _left_out(board: Board) -> Iterator[str]:
    names = [measure.name for measure in board.measures[_MOST_METRICS:]]
    if names:
        yield escape(f"Not shown here: {', '.join(names)}.")
