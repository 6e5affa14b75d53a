"""A board's columns: each number in a cell of its own, so that it can be sorted and counted with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.board.flagged import cautioned
from harness.board.standing import standing
from harness.board.values import Board, Measure, Row
from harness.longform import Cell

from .cells import Column

_COUNT = "0"
_SHARE = "0.0%"


def columns(board: Board) -> Sequence[Column[Row]]:
    """All columns of one board."""
    return [*_who(), *(each for measure in board.measures for each in _measured(board, measure)), *_beside()]


def _who() -> Iterator[Column[Row]]:
    yield Column("Rank", lambda row: row.rank, _COUNT)
    yield Column("Model", lambda row: row.model)


def _measured(board: Board, column: Measure) -> Iterator[Column[Row]]:
    """The value; for the main metric with its interval, and what was unresolved."""
    unit = " %" if column.unit == "%" else ""
    look = "0.0" if column.unit == "%" else "0.000"
    better = "" if column.better == "neither" else f" ({column.better} is better)"
    mark: Callable[[Row], str] = (lambda row: standing(board, row)) if column.main else (lambda _: "")
    yield Column(f"{column.name}{unit}{better}", _of(column, lambda mine: mine.value), look, mark)
    if column.main:
        yield Column(f"{column.name} 95% low", _of(column, lambda mine: mine.ci95[0]), look)
        yield Column(f"{column.name} 95% high", _of(column, lambda mine: mine.ci95[1]), look)
        yield Column("Numerator", _of(column, lambda mine: mine.numerator))
        yield Column("Denominator", _of(column, lambda mine: mine.denominator))
        yield Column("Unresolved", _of(column, lambda mine: mine.unresolved))


def _of(column: Measure, shown: Callable[[Measure], Cell]) -> Callable[[Row], Cell]:
    return lambda row: next((shown(mine) for mine in row.measures if mine.name == column.name), None)


def _beside() -> Iterator[Column[Row]]:
    yield Column("n", lambda row: row.n, _COUNT)
    yield Column("Epochs", lambda row: row.epochs, _COUNT)
    yield Column("Coverage", lambda row: row.coverage, _SHARE)
    yield Column("Complete", lambda row: row.complete)
    yield Column("Blocked", lambda row: row.blocked, _COUNT)
    yield Column("Errors", lambda row: row.outcomes.get("error", 0) + row.outcomes.get("bad_sample", 0), _COUNT)
    yield Column("Judge", lambda row: row.judge.label)
    yield Column("Input wording", lambda row: row.fidelity)
    yield Column("Not ranked because", lambda row: row.unranked)
    yield Column("Flags", cautioned)
    yield Column("Model revision", lambda row: row.model_revision)
    yield Column("Finished", lambda row: row.finished)
