"""Which rows have a caution in one cell, which answers a reader may want to look at, and what a training left out."""

from __future__ import annotations

from collections.abc import Iterator

from harness.board.display import estimate, marks
from harness.board.values import Board, Measure, Row
from harness.lineage import held_out


def cautioned(row: Row) -> str:
    """The kinds of a row's cautions: `own_family, trained_on`; empty for none."""
    return ", ".join(caution.kind for caution in row.cautions)


def flagged(board: Board) -> tuple[str, ...]:
    """One sentence for each run with answers that are cut off, marked as a refusal or shaped like a verdict, and one
    for those whose training left out categories of this board."""
    told = ((row.model, row.outcomes["answered"], marks(row.flags)) for row in board.rows)
    marked = dict.fromkeys(f"{model}: of {count} answers, {marked}." for model, count, marked in told if marked)
    return (*marked, *_held_out(board))


def left_out(row: Row) -> dict[str, Measure]:
    """The categories of a row that its training left out, each with the row's main number on it."""
    return {
        category: measure
        for category, (_, measures) in row.by.get("category", {}).items()
        if held_out(row.held_out, category) and (measure := next((each for each in measures if each.main), None))
    }


def _held_out(board: Board) -> Iterator[str]:
    for row in board.rows if any(row.held_out for row in board.rows) else ():
        for category, measure in left_out(row).items() if row.primary else ():
            number = estimate(measure.value, measure.ci95_worst, measure.unit)
            yield f"{row.model}: {category} was held out of its training; {measure.name} there is {number}."
