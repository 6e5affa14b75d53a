"""The main number by category: a heat map of all models, and small multiples, one panel of bars for each category.

A board with a single model has one panel instead: a line for each category.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.board.display import NOTHING, figure
from harness.board.values import Board, Row

from . import told
from .dots import STEP, at_the_right, lines, whiskers
from .entries import MOST, arrow, scale, settled
from .grid import HELD_OUT, Grid, grid
from .names import full, shown, slug
from .plots import Spec, axis, layer, number, own, plot, step, word
from .theme import HIGH, LIGHT, SMALL
from .values import Draft, Table

_BOARDS: Final = 4  #: that are shown by category; a page with one figure for each is read by nobody
_CATEGORIES: Final = 16  #: in one figure
_PANELS: Final = 12  #: small multiples in one figure
_BARS: Final = 8  #: models in each of them
_BY_THREE: Final = frozenset({3, 5, 6, 9})  #: numbers of panels that fill lines of three better than of four
_PANEL: Final = 140  #: px, across one of them
_CELL: Final = 46  #: px
_STEP: Final = 20  #: px
_WIDTH: Final = 420  #: px, of a single model's panel

Models = Sequence[tuple[str, Row]]
Heads = Mapping[str, str]


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """The figures of the first boards whose main number is there for several categories."""
    grids = [found for board in settled(boards) if (found := grid(board)) is not None]
    for place, made in enumerate(grids[:_BOARDS], 1):
        rest = told.rest(place, _BOARDS, len(grids), "board")
        if len(made.rows) == 1:
            yield _profile(made)
        else:
            yield _heat(made, rest)
            yield _multiples(made)


def _heat(made: Grid, rest: str) -> Draft:
    models, heads = made.top(MOST, _CATEGORIES)
    rows = [row for _, row in models]
    return Draft(
        name=slug("categories", made.board.name),
        title=f"{shown(made.first.label)} by category on {told.board(made.board)}",
        told=_told(
            made,
            rows,
            "the stronger a cell's colour, the higher its number",
            told.unranked(rows, "with a remark at the right"),
            told.more(len(heads), len(made.heads), "category"),
            rest,
        ),
        chart=_cells(made, models, heads),
        table=_table(made, models, heads),
    )


def _cells(made: Grid, models: Models, heads: Heads) -> Spec:
    names, width = [name for name, _ in models], _CELL * len(heads)
    low, high = scale(made.cells.values())
    data = [
        {"name": name, "head": head, **_cell(made, place, category, low, high)}
        for place, (name, _) in enumerate(models)
        for category, head in heads.items()
    ]
    drawn = {"orient": "top", "labelAngle": -35, "labelPadding": 6, "ticks": False, "domain": False, "grid": False}
    x, y = word("head", title=None, scale={"domain": list(heads.values())}, axis=drawn), lines(names)
    box = {"type": "rect", "stroke": LIGHT.ground, "strokeWidth": 1.5}
    remarks = [
        {"name": name, "text": shown(row.unranked, 40), "ink": LIGHT.quiet} for name, row in models if row.unranked
    ]
    return layer(
        plot(data, box, x=x, y=y, color=own("fill")),
        plot(data, {"type": "text"}, x=x, y=y, text=word("text"), color=own("ink")),
        *at_the_right(remarks, names, width),
        width=width,
        height=step(_STEP),
    )


def _cell(made: Grid, place: int, category: str, low: float, high: float) -> Mapping[str, str]:
    found = made.cells.get((place, category))
    if found is None:
        return {"fill": LIGHT.ground, "ink": LIGHT.quiet, "text": NOTHING}
    step = min(len(LIGHT.steps) - 1, int(len(LIGHT.steps) * (found.value - low) / (high - low)))
    ink = LIGHT.on_high if step >= HIGH else LIGHT.on_low
    text = f"{figure(found.value, found.unit)}{made.mark(place, category)}"
    return {"fill": LIGHT.steps[step], "ink": ink, "text": text}


def _multiples(made: Grid) -> Draft:
    models, heads = made.top(_BARS, _PANELS)
    rows = [row for _, row in models]
    drawn = [made.cells[place, name] for place in range(len(models)) for name in heads if (place, name) in made.cells]
    return Draft(
        name=slug("categories-panels", made.board.name),
        title=f"{shown(made.first.label)} in each category on {told.board(made.board)}",
        told=_told(
            made,
            rows,
            told.intervals(drawn),
            told.unranked(rows, "grey"),
            told.more(len(heads), len(made.heads), "category"),
        ),
        chart=_panels(made, models, heads),
        table=_table(made, models, heads),
    )


def _panels(made: Grid, models: Models, heads: Heads) -> Spec:
    across = 3 if len(heads) in _BY_THREE else 4
    panels = [
        {
            **_panel(made, models, category, named=place % across == 0),
            "title": {"text": head, "fontSize": SMALL, "limit": _PANEL + 10},
        }
        for place, (category, head) in enumerate(heads.items())
    ]
    return {"concat": panels, "columns": across, "spacing": 16}


def _panel(made: Grid, models: Models, category: str, *, named: bool) -> Spec:
    data = [
        {
            "name": name,
            "low": found.low,
            "high": found.high,
            "value": found.value,
            "colour": LIGHT.faint if row.unranked else LIGHT.series[0],
        }
        for place, (name, row) in enumerate(models)
        if (found := made.cells.get((place, category))) is not None
    ]
    left_out = [
        {"name": name, "text": HELD_OUT, "ink": LIGHT.ink}
        for place, (name, _) in enumerate(models)
        if made.mark(place, category)
    ]
    names = [name for name, _ in models]
    ticks = {"values": [0, 50, 100]} if made.first.unit == "%" else {"tickCount": 3}
    y = lines(names, named=named)
    x = axis("value", arrow(made.first), scale(made.cells.values()), axis=ticks)
    rule = {"type": "rule", "color": LIGHT.ink, "strokeWidth": 1}
    return layer(
        plot(data, {"type": "bar", "height": 8}, x=x, y=y, color=own("colour")),
        plot(data, rule, x=number("low"), x2={"field": "high"}, y=y),
        *at_the_right(left_out, names, _PANEL),
        width=_PANEL,
        height=step(15),
    )


def _profile(made: Grid) -> Draft:
    models, heads = made.top(1, MOST)
    (name, row) = models[0]
    found = {category: made.cells[0, category] for category in heads}
    colour, fill = (LIGHT.faint, LIGHT.ground) if row.unranked else (LIGHT.series[0], LIGHT.series[0])
    data: list[Mapping[str, Any]] = [
        {
            "name": heads[category],
            "low": each.low,
            "high": each.high,
            "value": each.value,
            "colour": colour,
            "fill": fill,
            "text": f"{each.text}{made.mark(0, category)}",
            "ink": LIGHT.ink,
        }
        for category, each in found.items()
    ]
    title = f"{arrow(made.first)} on {told.board(made.board)}, {name}"
    names = list(heads.values())
    parts = (*whiskers(data, names, title, scale(found.values())), *at_the_right(data, names, _WIDTH))
    return Draft(
        name=slug("categories", made.board.name),
        title=f"{shown(made.first.label)} by category on {told.board(made.board)}",
        told=_told(
            made,
            [row],
            told.intervals(found.values()),
            told.unranked([row]),
            told.more(len(heads), len(made.heads), "category"),
        ),
        chart=layer(*parts, width=_WIDTH, height=step(STEP)),
        table=_table(made, models, heads),
    )


def _told(made: Grid, rows: Sequence[Row], *clauses: str) -> str:
    return told.sentence(
        f"{arrow(made.first)} of {told.count(len(rows), 'model')} on {told.board(made.board)} by category, the worst "
        f"category first, with its n in brackets",
        told.direction(made.first.better),
        told.judged(rows),
        f"{HELD_OUT} the training of the model left this category out" if made.held_out else "",
        *clauses,
        told.more(len(rows), len(made.rows)),
    )


def _table(made: Grid, models: Models, heads: Heads) -> Table:
    def text(place: int, category: str) -> str:
        found = made.cells.get((place, category))
        return NOTHING if found is None else f"{found.text}{made.mark(place, category)}"

    rows = ((full(row.model), *(text(place, category) for category in heads)) for place, (_, row) in enumerate(models))
    return (("Model", *heads.values()), *rows)
