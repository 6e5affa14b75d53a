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
    """One sentence for each run with answers that are cut off, marked as a refusal or shaped like a verdict, one for
    numbers beside the main one that have no value or are estimated, and one for categories that a training left out."""
    told = ((row.model, row.outcomes["answered"], marks(row.flags)) for row in board.rows)
    marked = dict.fromkeys(f"{model}: of {count} answers, {marked}." for model, count, marked in told if marked)
    return (*marked, *_tell_missing(board), *_tell_estimated(board), *_held_out(board))


def _tell_missing(board: Board) -> Iterator[str]:
    """Those of one reason together; why the main number has none is told where its row is not ranked."""
    for row in board.rows:
        named: dict[str, list[str]] = {}
        for measure in row.measures:
            if measure.value is None and measure.why and not measure.main:
                named.setdefault(measure.why, []).append(measure.name)
        yield from (f"{row.model}: no value of {', '.join(names)}: {why}." for why, names in named.items())


def _tell_estimated(board: Board) -> Iterator[str]:
    for row in board.rows:
        if row.main is not None and row.main.estimated is not None:
            judged, of = row.main.estimated
            yield f"{row.model}: estimated for {of} answers from the {judged} that are judged."


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
