"""What became of the answers: the four classes of MIS and the block as bars that sum to 100."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from harness.board.leaderboard import Board
from harness.board.rows import Row

from . import captions
from .captions import IN_TABLE, make_distinct, make_slug, shorten
from .charts import Draft, Spec, axis, layer, name_axis, number, own_colour, plot, word, write_remarks
from .readings import MOST, select_primary_boards
from .theme import LIGHT

#: metrics that sum to 100: the four classes of an answer, and the block -> in words
CLASSES: Final[Mapping[str, str]] = {
    "ASR": "unsafe",
    "RSR": "safe by reasoning",
    "RR": "refusal",
    "HR": "hallucination",
    "BLK": "blocked",
}
_WIDTH: Final = 460  #: px
_READABLE: Final = 7.0  #: least share that its number is written into
_PALE: Final = 0.45  #: opacity of what has no rank


def draft_classes(boards: Sequence[Board]) -> Iterator[Draft]:
    """Bars for each board whose rows have all classes."""
    for board in select_primary_boards(boards):
        rows = [row for row in board.rows if _read_shares(row)]
        if rows:
            yield _draft_board(board, rows[:MOST], there=len(rows))


def _read_shares(row: Row) -> Sequence[float]:
    """The values of the classes in their order; empty where the row lacks one or they do not sum to 100."""
    given = {measure.name: measure.value for measure in row.measures}
    shares = [value for name in CLASSES if (value := given.get(name)) is not None]
    return shares if len(shares) == len(CLASSES) and abs(sum(shares) - 100) < 0.01 else ()


def _draft_board(board: Board, rows: Sequence[Row], there: int) -> Draft:
    title = captions.format_board(board)
    unresolved = any(row.main is not None and row.main.unresolved for row in rows)
    return Draft(
        name=make_slug("classes", board.name),
        title=f"What became of the answers on {title}",
        caption=captions.join_clauses(
            f"Shares of the answers of {captions.format_count(len(rows), 'model')} on {title}, which sum to 100",
            ", ".join(f"{name} {words}" for name, words in CLASSES.items()),
            captions.describe_judges(rows),
            captions.format_sizes(row.n for row in rows),
            "records without a verdict are left out" if unresolved else "",
            captions.describe_unranked(rows, "pale"),
            captions.describe_rest(len(rows), there),
        ),
        chart=_draw_bars(title, rows),
        table=(
            ("Model", *(f"{name} %" for name in CLASSES), "n"),
            *(
                (shorten(row.model, IN_TABLE), *(f"{share:.1f}" for share in _read_shares(row)), f"{row.n:,}")
                for row in rows
            ),
        ),
    )


def _draw_bars(title: str, rows: Sequence[Row]) -> Spec:
    names = make_distinct(row.model for row in rows)
    data: list[Mapping[str, Any]] = []
    for name, row in zip(names, rows, strict=True):
        shares = _read_shares(row)
        for place, (key, share, end) in enumerate(zip(CLASSES, shares, accumulate(shares), strict=True)):
            if share > 0:
                datum = {
                    "name": name,
                    "class": f"{key}  {CLASSES[key]}",
                    "start": end - share,
                    "end": end,
                    "middle": end - share / 2,
                    "opacity": _PALE if row.unranked else 1.0,
                    "text": f"{share:.0f}" if share >= _READABLE else "",
                    "ink": LIGHT.ink if row.unranked else LIGHT.on_classes[place],
                }
                data.append(datum)
    legend = {"title": None, "orient": "top", "symbolType": "square", "symbolStrokeWidth": 0, "columns": 5}
    legend |= {"columnPadding": 30}  # px; a reader's font may be wider than the one it is measured with
    domain = [f"{name}  {words}" for name, words in CLASSES.items()]
    y = name_axis(names)
    bars = plot(
        data,
        {"type": "bar", "height": 15, "stroke": LIGHT.ground, "strokeWidth": 1},
        y=y,
        x=axis("start", f"% of answers on {title}", (0, 100)),
        x2={"field": "end"},
        opacity=number("opacity", scale=None),
        color=word("class", scale={"domain": domain, "range": list(LIGHT.classes)}, legend=legend),
    )
    readable = [datum for datum in data if datum["text"]]
    written = plot(readable, {"type": "text"}, y=y, x=number("middle"), text=word("text"), color=own_colour("ink"))
    parts = (bars, written, *write_remarks(rows, names, _WIDTH))
    return layer(*parts, width=_WIDTH, step=22, resolve={"scale": {"color": "independent"}})
