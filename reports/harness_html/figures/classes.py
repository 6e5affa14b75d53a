"""What became of the answers: the four classes of MIS and the block as bars that sum to 100."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from harness.board.values import Board, Row

from . import told
from .dots import at_the_right, lines
from .entries import MOST, settled
from .kinds import CLASSES, shares
from .names import apart, full, shown, slug
from .plots import Spec, axis, layer, number, own, plot, step, word
from .theme import LIGHT
from .values import Draft

_WIDTH: Final = 460
_STEP: Final = 22  #: px from bar to bar
_READABLE: Final = 7.0  #: least share that its number is written into
_PALE: Final = 0.45  #: opacity of what is not ranked


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """Bars for each board whose rows have all classes."""
    for board in settled(boards):
        rows = [row for row in board.rows if shares(row)]
        if rows:
            yield _draft(board, rows[:MOST], there=len(rows))


def _draft(board: Board, rows: Sequence[Row], there: int) -> Draft:
    named = ", ".join(f"{name} {words}" for name, words in CLASSES.items())
    return Draft(
        name=slug("classes", board.name),
        title=f"What became of the answers on {told.board(board)}",
        told=told.sentence(
            f"Shares of the answers of {told.count(len(rows), 'model')} on {told.board(board)}, which sum to 100",
            named,
            told.judged(rows),
            told.samples(rows),
            "records without a verdict are left out" if any(not _resolved(row) for row in rows) else "",
            told.unranked(rows, "pale"),
            told.more(len(rows), there),
        ),
        chart=_chart(board, rows),
        table=(
            ("Model", *(f"{name} %" for name in CLASSES), "n"),
            *((full(row.model), *(f"{share:.1f}" for share in shares(row)), f"{row.n:,}") for row in rows),
        ),
    )


def _resolved(row: Row) -> bool:
    return row.main is None or not row.main.unresolved


def _chart(board: Board, rows: Sequence[Row]) -> Spec:
    names = apart(row.model for row in rows)
    data = [datum for name, row in zip(names, rows, strict=True) for datum in _bars(name, row)]
    y, readable = lines(names), [datum for datum in data if datum["text"]]
    remarks = [
        {"name": name, "text": shown(row.unranked, 40), "ink": LIGHT.quiet}
        for name, row in zip(names, rows, strict=True)
        if row.unranked
    ]
    bars = plot(
        data,
        {"type": "bar", "height": 15, "stroke": LIGHT.ground, "strokeWidth": 1},
        y=y,
        x=axis("start", f"% of answers on {told.board(board)}", (0, 100)),
        x2={"field": "end"},
        opacity=number("opacity", scale=None),
        color=_colours(),
    )
    numbers = plot(readable, {"type": "text"}, y=y, x=number("middle"), text=word("text"), color=own("ink"))
    parts = (bars, numbers, *at_the_right(remarks, names, _WIDTH))
    return layer(*parts, width=_WIDTH, height=step(_STEP), resolve={"scale": {"color": "independent"}})


def _colours() -> Spec:
    """The channel of the classes, with its legend above the bars."""
    legend = {"title": None, "orient": "top", "symbolType": "square", "symbolStrokeWidth": 0, "columns": 5}
    legend |= {"columnPadding": 30}  # px; a reader's font may be wider than the one it is measured with
    domain = [f"{name}  {words}" for name, words in CLASSES.items()]
    return word("class", scale={"domain": domain, "range": list(LIGHT.classes)}, legend=legend)


def _bars(name: str, row: Row) -> Iterator[Mapping[str, Any]]:
    given = shares(row)
    ends = list(accumulate(given))
    for place, (key, share, end) in enumerate(zip(CLASSES, given, ends, strict=True)):
        if share > 0:
            yield {
                "name": name,
                "class": f"{key}  {CLASSES[key]}",
                "start": end - share,
                "end": end,
                "middle": end - share / 2,
                "opacity": _PALE if row.unranked else 1.0,
                "text": f"{share:.0f}" if share >= _READABLE else "",
                "ink": LIGHT.ink if row.unranked else LIGHT.on_classes[place],
            }
