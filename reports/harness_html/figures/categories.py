"""The main number by category, and the classes of the answers.

From three models on a board with categories has a heat map; with fewer, lines with intervals, since these show more and
a map of two lines shows no pattern. Never both. The classes are bars that sum to 100.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Final

from harness.board.display import NOTHING
from harness.board.leaderboard import Board
from harness.board.palette import BAD, LIGHT, choose_step
from harness.board.rows import Row
from harness.lineage import find_held_out as held_out

from . import readings
from .axes import EDGE, TICKS, Scale, draw_head, draw_interval
from .canvas import COLUMN, Canvas, fit, fit_apart, measure
from .figure import Breakdown, Figure, Looks
from .readings import IN_TABLE, Reading, make_distinct, make_slug, shorten

_BY: Final = "category"
_HELD_OUT: Final = "‡"  #: marks a number whose category its model's training left out
_FEWEST: Final = 2  #: least categories for a figure
_FEWEST_IN_MAP: Final = 3  #: least models for a heat map
_MOST_BOARDS: Final = 4  #: shown by category; more figures would make the page unreadable
_MOST_CATEGORIES: Final = 16  #: in one heat map
_NAMES: Final = 210.0  #: px, of names beside a wide heat map
_CELL: Final = 46.0  #: px, width of its cells
_HEADS: Final = 130.0  #: px, the most for its heads

#: metrics that sum to 100: the four classes of an answer, and the block -> in words
CLASSES: Final[Mapping[str, str]] = {
    "ASR": "unsafe",
    "RSR": "safe by reasoning",
    "RR": "refusal",
    "HR": "hallucination",
    "BLK": "blocked",
}
_PALE: Final = "0.45"  #: opacity of unranked rows

Heads = Mapping[str, str]  #: category -> drawn name


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The main numbers of one board by model and category.

    Attributes:
        board: their board.
        rows: rows of the models, best first.
        heads: category -> drawn name with its n; the worst category comes first.
        cells: (place of the row, category) -> number.
        held_out: cells whose category the model's training left out.
        there: models with numbers by category, also those not drawn.
    """

    board: Board
    rows: Sequence[Row]
    heads: Heads
    cells: Mapping[tuple[int, str], Reading]
    held_out: frozenset[tuple[int, str]]
    there: int

    @property
    def first(self) -> Reading:
        """Any of the numbers: all have the same metric."""
        return next(iter(self.cells.values()))

    def mark(self, place: int, category: str) -> str:
        """The mark at a number; empty for none."""
        return _HELD_OUT if (place, category) in self.held_out else ""


def draw_categories(boards: Sequence[Board], looks: Looks) -> Iterator[Figure]:
    """One figure for each of the first boards with main numbers for several categories."""
    grids = [grid for board in readings.select_primary_boards(boards) if (grid := build_grid(board)) is not None]
    for place, grid in enumerate(grids[:_MOST_BOARDS], 1):
        more = readings.describe_rest(_MOST_BOARDS, len(grids), "board") if place == _MOST_BOARDS else ""
        draw = _draw_heat_map if len(grid.rows) >= _FEWEST_IN_MAP else _draw_lines
        yield draw(grid, looks, more)


def build_grid(board: Board) -> Grid | None:
    """The board's numbers by category; None if too few for a figure."""
    every = [row for row in board.rows if row.by.get(_BY)]
    rows = readings.choose(every)
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
        heads=dict(zip(worst_first, heads, strict=True)),
        cells=cells,
        held_out=frozenset(
            (place, name) for place, name in cells if rows[place].held_out and held_out(rows[place].held_out, name)
        ),
        there=len(every),
    )


def _finish(grid: Grid, wide: Canvas, narrow: Canvas | None, heads: Heads, *clauses: str) -> Figure:
    """The figure of some categories; the clauses explain its marks."""
    first, rows, board = grid.first, grid.rows, readings.format_board(grid.board)

    def cell(place: int, category: str) -> str:
        found = grid.cells.get((place, category))
        return NOTHING if found is None else f"{found.table_text}{grid.mark(place, category)}"

    lines = ((shorten(row.model, IN_TABLE), *(cell(place, each) for each in heads)) for place, row in enumerate(rows))
    title = f"{shorten(first.label)} by category on {board}"
    caption = readings.join_clauses(
        f"{first.head} of {readings.format_count(len(rows), 'model')} on {board} by category, the worst category "
        f"first, with its n in brackets",
        readings.describe_direction(first.better),
        readings.describe_judges(rows),
        f"{_HELD_OUT} the training of the model left this category out" if grid.held_out else "",
        *clauses,
        readings.describe_rest(len(heads), len(grid.heads), "category"),
        readings.describe_choice(len(rows), grid.there),
    )
    return Figure(
        name=make_slug("categories", grid.board.name),
        title=title,
        caption=caption,
        board=grid.board.name,
        task=grid.board.task,
        svg=wide.finish(title, caption),
        narrow="" if narrow is None else narrow.finish(title, caption),
        table=(("Model", *heads.values()), *lines),
        breakdown=Breakdown(
            by=_BY, metric="" if rows[0].main is None else rows[0].main.name, groups=tuple(heads), rows=tuple(rows)
        ),
    )


def _draw_heat_map(grid: Grid, looks: Looks, more: str) -> Figure:
    heads = dict(islice(grid.heads.items(), _MOST_CATEGORIES))
    wide, narrow = Canvas(0), Canvas(COLUMN)
    room = min(_NAMES, max(measure(row.model) for row in grid.rows) + 4)
    names = fit_apart([row.model for row in grid.rows], room)
    left = EDGE + 16 + room + 8
    texts = fit_apart(list(heads.values()), _HEADS)
    tall = max(measure(text) for text in texts)
    for place, text in enumerate(texts):
        wide.text(left + _CELL * (place + 0.5) + 3.5, 30 + tall, text, turned=True)
    wide.width = max(left + _CELL * len(heads) + EDGE, COLUMN)
    draw_head(wide, 16, f"{grid.first.head} on {readings.format_board(grid.board)}")
    y = tall + 36
    for place, (row, name) in enumerate(zip(grid.rows, names, strict=True)):
        with wide.model(looks.of(row)):
            wide.mark(EDGE + 6, y + 10, looks.of(row), hollow=bool(row.unranked))
            wide.text(EDGE + 16, y + 13.5, name, fill=LIGHT.quiet if row.unranked else LIGHT.ink)
            _draw_cells(wide, grid, place, heads, left, y, _CELL, 19)
        y += 20
    wide.height = y + EDGE
    # for a phone: names above their cells
    draw_head(narrow, 16, f"{grid.first.head} on {readings.format_board(grid.board)}")
    cell = (COLUMN - 2 * EDGE) / len(heads)
    for place, text in enumerate(texts):
        narrow.text(EDGE + cell * (place + 0.5) + 3.5, 30 + tall, text, turned=True)
    y = tall + 38
    for place, (row, name) in enumerate(
        zip(grid.rows, fit_apart([row.model for row in grid.rows], COLUMN - 2 * EDGE - 16), strict=True)
    ):
        with narrow.model(looks.of(row)):
            narrow.mark(EDGE + 6, y + 6, looks.of(row), hollow=bool(row.unranked))
            narrow.text(EDGE + 16, y + 9.5, name, fill=LIGHT.quiet if row.unranked else LIGHT.ink)
            _draw_cells(narrow, grid, place, heads, EDGE, y + 13, cell, 15)
        y += 34
    narrow.height = y + EDGE
    neither = grid.first.better == "neither"
    return _finish(
        grid,
        wide,
        narrow,
        heads,
        "numbers alone, since neither direction is better"
        if neither
        else "blue is good and orange bad, darker is worse",
        "whole numbers; the table has them in full" if grid.first.unit == "%" else "",
        readings.describe_unranked(grid.rows),
        more,
    )


def _draw_cells(
    canvas: Canvas, grid: Grid, place: int, heads: Heads, left: float, top: float, width: float, height: float
) -> None:
    """The cells of one model: colours, then their numbers, light texts and dark ones together."""
    ends = readings.find_ends(grid.cells.values())
    texts: dict[str, list[tuple[float, str]]] = {}
    boxes: dict[str, list[float]] = {}
    for column, category in enumerate(heads):
        found, x = grid.cells.get((place, category)), left + width * column
        if found is None:
            texts.setdefault(LIGHT.quiet, []).append((x + width / 2, NOTHING))
            continue
        step = choose_step(found.value, ends, found.better)
        if step is not None:
            boxes.setdefault(LIGHT.steps[step], []).append(x)
        ink = LIGHT.ink if step is None else LIGHT.on_bad if step >= BAD else LIGHT.on_good
        text = f"{found.value:.0f}" if found.unit == "%" else f"{found.value:.2f}"
        texts.setdefault(ink, []).append((x + width / 2, f"{text}{grid.mark(place, category)}"))
    for fill, lefts in boxes.items():
        canvas.boxes(lefts, top, width - 1, height, fill)
    for ink, cells in texts.items():
        canvas.row(top + height / 2 + 3.5, cells, fill=ink)


def _draw_lines(grid: Grid, looks: Looks, more: str) -> Figure:
    """Under the name of each category a line with its interval for each of one or two models."""
    heads = grid.heads
    canvas = Canvas(COLUMN)
    draw_head(canvas, 16, f"{grid.first.head} on {readings.format_board(grid.board)}")
    y = 32.0
    for row, name in zip(grid.rows, fit_apart([row.model for row in grid.rows], COLUMN - 2 * EDGE - 18), strict=True):
        with canvas.model(looks.of(row)):
            canvas.mark(EDGE + 7, y - 3.5, looks.of(row), hollow=bool(row.unranked))
            canvas.text(EDGE + 18, y, name)
        y += 15
    step = 14.0 + 13 * len(grid.rows)
    written = max(measure(f"{each.text}{_HELD_OUT}") for each in grid.cells.values())
    scale = Scale(
        ends=readings.find_ends(grid.cells.values()),
        left=EDGE + 2,
        right=COLUMN - EDGE - 10 - written,
        unit=grid.first.unit,
    )
    bottom = y + step * len(heads)
    scale.draw(canvas, y + 12, bottom, f"{step - 12:g} 12")
    for category, head in heads.items():
        canvas.text(EDGE, y + 9, fit(head, COLUMN - 2 * EDGE))
        at = y + 19
        for place, row in enumerate(grid.rows):
            found = grid.cells.get((place, category))
            with canvas.model(looks.of(row)):
                if found is not None:
                    draw_interval(canvas, scale, at, found, looks.of(row), hollow=bool(row.unranked), size=3.6)
                text = NOTHING if found is None else f"{found.text}{grid.mark(place, category)}"
                canvas.text(COLUMN - EDGE, at + 3.5, text, anchor="end", fill=LIGHT.quiet)
            at += 13
        y += step
    canvas.height = bottom + TICKS + 2
    return _finish(
        grid,
        canvas,
        None,
        heads,
        readings.describe_intervals(grid.cells.values()),
        readings.describe_unranked(grid.rows),
        more,
    )


def draw_classes(boards: Sequence[Board], looks: Looks) -> Iterator[Figure]:
    """Bars for each board whose rows have all classes."""
    for board in readings.select_primary_boards(boards):
        there = [row for row in board.rows if _read_shares(row)]
        if not there:
            continue
        rows, title = readings.choose(there), readings.format_board(board)
        unresolved = any(row.main is not None and row.main.unresolved for row in rows)
        caption = readings.join_clauses(
            f"Shares of the answers of {readings.format_count(len(rows), 'model')} on {title}, which sum to 100",
            ", ".join(f"{name} {words}" for name, words in CLASSES.items()),
            readings.describe_judges(rows),
            readings.format_sizes(row.n for row in rows),
            "records without a verdict are left out" if unresolved else "",
            readings.describe_unranked(rows, "pale"),
            readings.describe_choice(len(rows), len(there)),
        )
        canvas = Canvas(COLUMN)
        draw_head(canvas, 16, f"% of answers on {title}")
        _draw_bars(canvas, rows, looks)
        text = f"What became of the answers on {title}"
        lines = (
            (shorten(row.model, IN_TABLE), *(f"{share:.1f}" for share in _read_shares(row)), f"{row.n:,}")
            for row in rows
        )
        yield Figure(
            name=make_slug("classes", board.name),
            title=text,
            caption=caption,
            board=board.name,
            task=board.task,
            svg=canvas.finish(text, caption),
            table=(("Model", *(f"{name} %" for name in CLASSES), "n"), *lines),
        )


def _read_shares(row: Row) -> Sequence[float]:
    """The values of the classes in order; empty if one is missing or they do not sum to 100."""
    given = {measure.name: measure.value for measure in row.measures}
    shares = [value for name in CLASSES if (value := given.get(name)) is not None]
    return shares if len(shares) == len(CLASSES) and abs(sum(shares) - 100) < 0.01 else ()


def _draw_bars(canvas: Canvas, rows: Sequence[Row], looks: Looks) -> None:
    x, y = EDGE, 32.0
    for (name, words), fill in zip(CLASSES.items(), LIGHT.classes, strict=True):
        text = f"{name} {words}"
        if x + 14 + measure(text) > COLUMN - EDGE:
            x, y = EDGE, y + 15
        canvas.box(x, y - 8, 9, 9, fill)
        canvas.text(x + 13, y, text)
        x += 13 + measure(text) + 12
    y += 8
    scale = Scale(ends=(0.0, 100.0), left=EDGE, right=COLUMN - EDGE)
    bottom = y + 31 * len(rows)
    scale.draw(canvas, y + 13, bottom, "18 13")
    for row, name in zip(rows, fit_apart([row.model for row in rows], COLUMN - 2 * EDGE - 14), strict=True):
        with canvas.model(looks.of(row)):
            canvas.mark(EDGE + 5, y + 6.5, looks.of(row), hollow=bool(row.unranked))
            canvas.text(EDGE + 14, y + 10, name, fill=LIGHT.quiet if row.unranked else LIGHT.ink)
            start = 0.0
            for share, fill, ink in zip(_read_shares(row), LIGHT.classes, LIGHT.on_classes, strict=True):
                left, width = scale.place(start), scale.place(start + share) - scale.place(start)
                if width > 0:
                    canvas.box(left, y + 14, max(width - 1, 0.5), 13, fill, opacity=_PALE if row.unranked else "")
                if width > 16:
                    ink = LIGHT.ink if row.unranked else ink
                    canvas.text(left + width / 2, y + 24, f"{share:.0f}", fill=ink, anchor="middle")
                start += share
        y += 31
    canvas.height = bottom + TICKS + 2
