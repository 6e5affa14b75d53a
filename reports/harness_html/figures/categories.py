"""The main number by category: a heat map of all models, and small multiples, one panel of bars per category.

A board with a single model has one panel instead: a line per category. `draft_classes` draws the outcomes of the
answers: the four classes of MIS and the block as bars that sum to 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, product
from statistics import fmean
from typing import Any, Final

from harness.board.display import NOTHING, format_value
from harness.board.leaderboard import Board
from harness.board.rows import Row
from harness.lineage import find_held_out as held_out

from . import charts, readings
from .charts import HIGH, LIGHT, SMALL, STEP, WIDTH, Draft, Spec
from .readings import IN_TABLE, MOST, Reading, make_distinct, make_slug, shorten

_BY: Final = "category"
_HELD_OUT: Final = "‡"  #: marks a number whose category its model's training left out
_FEWEST: Final = 2  #: least categories for a figure
_MOST_BOARDS: Final = 4  #: shown by category; more figures would make the page unreadable
_MOST_CATEGORIES: Final = 16  #: in one heat map
_MOST_PANELS: Final = 12  #: small multiples in one figure
_MOST_BARS: Final = 8  #: models in each panel
_BY_THREE: Final = frozenset({3, 5, 6, 9})  #: panel counts that fill rows of three better than rows of four
_PANEL_WIDTH: Final = 140  #: px
_CELL_WIDTH: Final = 46  #: px

#: metrics that sum to 100: the four classes of an answer, and the block -> in words
CLASSES: Final[Mapping[str, str]] = {
    "ASR": "unsafe",
    "RSR": "safe by reasoning",
    "RR": "refusal",
    "HR": "hallucination",
    "BLK": "blocked",
}
_CLASSES_WIDTH: Final = 460  #: px
_READABLE: Final = 7.0  #: least share that shows its number
_PALE: Final = 0.45  #: opacity of unranked rows

Heads = Mapping[str, str]  #: category -> drawn name


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The main numbers of one board by model and category.

    Attributes:
        board: their board.
        names: drawn names of the models.
        rows: rows of the models, best first.
        heads: category -> drawn name with its n; the worst category comes first.
        cells: (place of the row, category) -> number.
        held_out: cells whose category the model's training left out.
    """

    board: Board
    names: Sequence[str]
    rows: Sequence[Row]
    heads: Heads
    cells: Mapping[tuple[int, str], Reading]
    held_out: frozenset[tuple[int, str]]

    @property
    def first(self) -> Reading:
        """Any of the numbers: all have the same metric."""
        return next(iter(self.cells.values()))

    def mark(self, place: int, category: str) -> str:
        """The mark at a number; empty for none."""
        return _HELD_OUT if (place, category) in self.held_out else ""


def draft_categories(boards: Sequence[Board]) -> Iterator[Draft]:
    """The figures of the first boards with main numbers for several categories."""
    grids = [grid for board in readings.select_primary_boards(boards) if (grid := build_grid(board)) is not None]
    for place, grid in enumerate(grids[:_MOST_BOARDS], 1):
        if len(grid.rows) == 1:
            yield _draft_profile(grid)
        else:
            more = readings.describe_rest(_MOST_BOARDS, len(grids), "board") if place == _MOST_BOARDS else ""
            yield _draft_heat_map(grid, more)
            yield _draft_panels(grid)


def build_grid(board: Board) -> Grid | None:
    """The board's numbers by category; None if too few for a figure."""
    rows = [row for row in board.rows if row.by.get(_BY)]
    cells: dict[tuple[int, str], Reading] = {}
    values: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for place, row in enumerate(rows):
        for category, (n, measures) in row.by[_BY].items():
            sizes[category] = max(n, sizes.get(category, 0))
            found = readings.read_measure(next((each for each in measures if each.main), None))
            if found is not None:
                cells[place, category] = found
                values.setdefault(category, []).append(found.value if found.better == "lower" else -found.value)
    if len(values) < _FEWEST:
        return None
    worst_first = sorted(values, key=lambda category: (-fmean(values[category]), category))
    heads = make_distinct((f"{shorten(name, 26)} ({sizes[name]:,})" for name in worst_first), 40)
    return Grid(
        board=board,
        rows=rows,
        names=make_distinct(row.model for row in rows),
        heads=dict(zip(worst_first, heads, strict=True)),
        cells=cells,
        held_out=frozenset(
            (place, name) for place, name in cells if rows[place].held_out and held_out(rows[place].held_out, name)
        ),
    )


def _draft(grid: Grid, sort: str, title: str, chart: Spec, models: int, heads: Heads, *clauses: str) -> Draft:
    """A figure of the best models and some categories; the clauses explain its marks."""
    first, rows, board = grid.first, grid.rows[:models], readings.format_board(grid.board)

    def cell(place: int, category: str) -> str:
        found = grid.cells.get((place, category))
        return NOTHING if found is None else f"{found.text}{grid.mark(place, category)}"

    lines = ((shorten(row.model, IN_TABLE), *(cell(place, each) for each in heads)) for place, row in enumerate(rows))
    return Draft(
        name=make_slug(sort, grid.board.name),
        title=f"{shorten(first.label)} {title} on {board}",
        caption=readings.join_clauses(
            f"{first.head} of {readings.format_count(len(rows), 'model')} on {board} by category, the worst category "
            f"first, with its n in brackets",
            readings.describe_direction(first.better),
            readings.describe_judges(rows),
            f"{_HELD_OUT} the training of the model left this category out" if grid.held_out else "",
            *clauses,
            readings.describe_rest(len(rows), len(grid.rows)),
        ),
        chart=chart,
        table=(("Model", *heads.values()), *lines),
    )


def _draft_heat_map(grid: Grid, more: str) -> Draft:
    names, rows = grid.names[:MOST], grid.rows[:MOST]
    heads = dict(islice(grid.heads.items(), _MOST_CATEGORIES))
    low, high = readings.find_ends(grid.cells.values())
    data: list[Mapping[str, str]] = []
    for (place, name), (category, head) in product(enumerate(names), heads.items()):
        found = grid.cells.get((place, category))
        if found is None:
            data.append({"name": name, "head": head, "fill": LIGHT.ground, "ink": LIGHT.quiet, "text": NOTHING})
            continue
        step = min(len(LIGHT.steps) - 1, int(len(LIGHT.steps) * (found.value - low) / (high - low)))
        text = f"{format_value(found.value, found.unit)}{grid.mark(place, category)}"
        ink = LIGHT.on_high if step >= HIGH else LIGHT.on_low
        data.append({"name": name, "head": head, "fill": LIGHT.steps[step], "ink": ink, "text": text})
    top = {"orient": "top", "labelAngle": -35, "labelPadding": 6, "ticks": False, "domain": False, "grid": False}
    x = charts.word("head", title=None, scale={"domain": list(heads.values())}, axis=top)
    y, width = charts.name_axis(names), _CELL_WIDTH * len(heads)
    box = {"type": "rect", "stroke": LIGHT.ground, "strokeWidth": 1.5}
    chart = charts.layer(
        charts.plot(data, box, x=x, y=y, color=charts.own_colour("fill")),
        charts.plot(data, {"type": "text"}, x=x, y=y, text=charts.word("text"), color=charts.own_colour("ink")),
        *charts.write_remarks(rows, names, width),
        width=width,
        step=20,
    )
    return _draft(
        grid,
        "categories",
        "by category",
        chart,
        MOST,
        heads,
        "the stronger a cell's colour, the higher its number",
        readings.describe_unranked(rows, "with a remark at the right"),
        readings.describe_rest(len(heads), len(grid.heads), "category"),
        more,
    )


def _draft_panels(grid: Grid) -> Draft:
    names, rows = grid.names[:_MOST_BARS], grid.rows[:_MOST_BARS]
    heads = dict(islice(grid.heads.items(), _MOST_PANELS))
    across = 3 if len(heads) in _BY_THREE else 4
    x = charts.axis(
        "value",
        grid.first.head,
        readings.find_ends(grid.cells.values()),
        axis={"values": [0, 50, 100]} if grid.first.unit == "%" else {"tickCount": 3},
    )
    panels: list[Spec] = []
    drawn: list[Reading] = []
    for category, head in heads.items():
        bars: list[Mapping[str, str | float]] = []
        marks: list[Mapping[str, str]] = []
        for place, (name, row) in enumerate(zip(names, rows, strict=True)):
            if (found := grid.cells.get((place, category))) is not None:
                drawn.append(found)
                colour = LIGHT.faint if row.unranked else LIGHT.series[0]
                ends = {"low": found.low, "high": found.high, "value": found.value}
                bars.append({"name": name, **ends, "colour": colour})
            if mark := grid.mark(place, category):
                marks.append({"name": name, "text": mark, "ink": LIGHT.ink})
        y = charts.name_axis(names, shown=len(panels) % across == 0)
        rule = {"type": "rule", "color": LIGHT.ink, "strokeWidth": 1}
        panel = charts.layer(
            charts.plot(bars, {"type": "bar", "height": 8}, x=x, y=y, color=charts.own_colour("colour")),
            charts.plot(bars, rule, x=charts.number("low"), x2={"field": "high"}, y=y),
            *charts.write_at_right(marks, names, _PANEL_WIDTH),
            width=_PANEL_WIDTH,
            step=15,
            title={"text": head, "fontSize": SMALL, "limit": _PANEL_WIDTH + 10},
        )
        panels.append(panel)
    return _draft(
        grid,
        "categories-panels",
        "in each category",
        {"concat": panels, "columns": across, "spacing": 16},
        _MOST_BARS,
        heads,
        readings.describe_intervals(drawn),
        readings.describe_unranked(rows, "grey"),
        readings.describe_rest(len(heads), len(grid.heads), "category"),
    )


def _draft_profile(grid: Grid) -> Draft:
    heads, row = dict(islice(grid.heads.items(), MOST)), grid.rows[0]
    found = {category: grid.cells[0, category] for category in heads}
    data = [
        {
            **charts.make_dot(heads[category], each, row),
            "text": f"{each.text}{grid.mark(0, category)}",
            "ink": LIGHT.ink,
        }
        for category, each in found.items()
    ]
    title = f"{grid.first.head} on {readings.format_board(grid.board)}, {grid.names[0]}"
    dots = charts.draw_dots(data, list(heads.values()), title, readings.find_ends(found.values()))
    written = charts.write_at_right(data, list(heads.values()), WIDTH)
    return _draft(
        grid,
        "categories",
        "by category",
        charts.layer(*dots, *written, width=WIDTH, step=STEP),
        1,
        heads,
        readings.describe_intervals(found.values()),
        readings.describe_unranked([row]),
        readings.describe_rest(len(heads), len(grid.heads), "category"),
    )


def draft_classes(boards: Sequence[Board]) -> Iterator[Draft]:
    """Bars for each board whose rows have all classes."""
    for board in readings.select_primary_boards(boards):
        rows = [row for row in board.rows if _read_shares(row)]
        if rows:
            yield _draft_classes(board, rows[:MOST], there=len(rows))


def _read_shares(row: Row) -> Sequence[float]:
    """The values of the classes in order; empty if one is missing or they do not sum to 100."""
    given = {measure.name: measure.value for measure in row.measures}
    shares = [value for name in CLASSES if (value := given.get(name)) is not None]
    return shares if len(shares) == len(CLASSES) and abs(sum(shares) - 100) < 0.01 else ()


def _draft_classes(board: Board, rows: Sequence[Row], there: int) -> Draft:
    title = readings.format_board(board)
    unresolved = any(row.main is not None and row.main.unresolved for row in rows)
    return Draft(
        name=make_slug("classes", board.name),
        title=f"What became of the answers on {title}",
        caption=readings.join_clauses(
            f"Shares of the answers of {readings.format_count(len(rows), 'model')} on {title}, which sum to 100",
            ", ".join(f"{name} {words}" for name, words in CLASSES.items()),
            readings.describe_judges(rows),
            readings.format_sizes(row.n for row in rows),
            "records without a verdict are left out" if unresolved else "",
            readings.describe_unranked(rows, "pale"),
            readings.describe_rest(len(rows), there),
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
    y = charts.name_axis(names)
    bars = charts.plot(
        data,
        {"type": "bar", "height": 15, "stroke": LIGHT.ground, "strokeWidth": 1},
        y=y,
        x=charts.axis("start", f"% of answers on {title}", (0, 100)),
        x2={"field": "end"},
        opacity=charts.number("opacity", scale=None),
        color=charts.word("class", scale={"domain": domain, "range": list(LIGHT.classes)}, legend=legend),
    )
    readable = [datum for datum in data if datum["text"]]
    written = charts.plot(
        readable,
        {"type": "text"},
        y=y,
        x=charts.number("middle"),
        text=charts.word("text"),
        color=charts.own_colour("ink"),
    )
    parts = (bars, written, *charts.write_remarks(rows, names, _CLASSES_WIDTH))
    return charts.layer(*parts, width=_CLASSES_WIDTH, step=22, resolve={"scale": {"color": "independent"}})
