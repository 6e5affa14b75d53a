"""Forest plots: the main number of each model with its interval, a figure for each board.

Boards of a single row stand together in one figure, each in a panel of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from harness.board.values import Board

from . import told
from .dots import STEP, at_the_right, whiskers
from .entries import MOST, Entry, arrow, entries, scale, settled
from .names import shown, slug
from .plots import Data, Spec, layer, step
from .values import Draft, Table

_WIDTH = 420


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """A forest for each board with several rows, then one for those with a single one."""
    found = [(board, made) for board in settled(boards) if (made := entries(board))]
    for board, made in found:
        if len(made) > 1:
            yield _forest(board, made[:MOST], there=len(made))
    single = [(board, made[0]) for board, made in found if len(made) == 1]
    for _, members in groupby(sorted(single, key=_unit), key=_unit):
        yield _singles(list(members))


def _unit(member: tuple[Board, Entry]) -> str:
    return member[1].reading.unit


def _forest(board: Board, made: Sequence[Entry], there: int) -> Draft:
    first = made[0].reading
    rows = [each.row for each in made]
    return Draft(
        name=slug("forest", board.name),
        title=f"{told.board(board)}: {shown(first.label)} with intervals",
        told=told.sentence(
            f"{arrow(first)} of {told.count(len(made), 'model')} on {told.board(board)}",
            told.direction(first.better),
            told.judged(rows),
            told.samples(rows),
            told.intervals(each.reading for each in made),
            told.unranked(rows),
            told.more(len(made), there),
        ),
        chart=_panel(made, f"{arrow(first)} on {told.board(board)}"),
        table=_table(("Model", arrow(first)), ((each.name,) for each in made), made),
    )


def _singles(members: Sequence[tuple[Board, Entry]]) -> Draft:
    drawn = members[:MOST]
    made = [entry for _, entry in drawn]
    rows = [each.row for each in made]
    panels: list[Spec] = [
        {**_panel([each], None), "title": f"{told.board(board)}: {arrow(each.reading)}"} for board, each in drawn
    ]
    return Draft(
        name=slug("forest-single", made[0].reading.unit if made[0].reading.unit != "%" else ""),
        title="Splits with one result each",
        told=told.sentence(
            f"the main number of {told.count(len(made), 'split')} that one model was measured on",
            told.samples(rows),
            told.intervals(each.reading for each in made),
            told.unranked(rows),
            told.more(len(made), len(members), "split"),
        ),
        chart={"vconcat": panels, "spacing": 14},
        table=_table(
            ("Split", "Model", "Main number"),
            ((f"{told.board(board)}: {arrow(each.reading)}", each.name) for board, each in drawn),
            made,
        ),
    )


def _panel(made: Sequence[Entry], title: str | None) -> Spec:
    data: Data = [
        {
            "name": each.name,
            "low": each.reading.low,
            "high": each.reading.high,
            "value": each.reading.value,
            "colour": each.colour,
            "fill": each.fill,
            "text": each.text,
            "ink": each.ink,
        }
        for each in made
    ]
    names = [each.name for each in made]
    ends = scale(each.reading for each in made)
    parts = (*whiskers(data, names, title, ends), *at_the_right(data, names, _WIDTH))
    return layer(*parts, width=_WIDTH, height=step(STEP))


def _table(
    head: Sequence[str], names: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]], made: Sequence[Entry]
) -> Table:
    return ((*head, "n"), *((*name, each.text, f"{each.row.n:,}") for name, each in zip(names, made, strict=True)))
