"""Tables for a terminal: the one a run ends with, and the one of `harness report`.

The run table shows every metric of every split, its interval and what it was divided by. The report table has a line
for each row of a board. On a terminal it is never wider than that: names lose what they share, then metrics are left
out, and a line names those. In a pipe or a file it is as wide as it needs, and no name is shortened. Both tables go to
stdout, since they are the result. rich is imported on use.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final, TextIO

from harness.board.corrected import ADDS_NOTHING, count_things
from harness.board.costs import list_costs
from harness.board.display import format_estimate, format_head, format_interval, format_share, format_value
from harness.board.leaderboard import Board, boards, find_standing, list_flags
from harness.board.rows import Measure, Row
from harness.board.suites import group_boards, means
from harness.contracts import Results
from harness.labels import is_own_share
from harness.text import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Drawing = Callable[["Console"], None]  #: prints on a console
WIDTH: Final = 120  #: columns of the run table where there is no terminal
_ENDLESS: Final = 1_000_000  #: columns of a pipe or a file
_GAP: Final = 2  #: columns between two cells
_LEAST: Final = 20  #: columns of a model's name before a metric is left out for it
_MOST: Final = 40  #: columns that names get to stay apart before a metric is left out for it
_PARTS: Final = re.compile(r"([/\-: @,=()]+)")  #: what separates the parts of a model's name
_MISSING: Final = ("empty", "bad_sample", "error", "unanswered")
_MARKS: Final = {"best": "*", "second": "°", "": ""}
_STYLES: Final = {"best": "bold green", "second": "cyan", "": ""}
_BY_PEOPLE: Final = "· by people"
_LEGEND: Final = f"{_MARKS['best']} best, {_MARKS['second']} second: marked only if its interval overlaps no other"


def render_drawing(drawing: Drawing, width: int) -> str:
    """A drawing as plain text of this width."""
    from rich.console import Console

    out = io.StringIO()
    drawing(Console(file=out, width=width, highlight=False, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def print_drawing(drawing: Drawing, width: int, stream: TextIO | None = None) -> None:
    """Print a drawing: on a terminal in colour and as wide as that, elsewhere plain and `width` wide."""
    from rich.console import Console

    out = sys.stdout if stream is None else stream
    if out.isatty():
        drawing(Console(file=out, highlight=False))
    else:
        out.write(render_drawing(drawing, width))


def render_run_table(results: Results | Sequence[Results]) -> str:
    """The table of a run as plain text.

    Args:
        results: the dict of one results.json, or of several models.
    """
    return render_drawing(lambda console: _draw_run_table(console, results), WIDTH)


def print_run_table(results: Results | Sequence[Results], stream: TextIO | None = None) -> None:
    """Print the table of a run; `stream` is stdout unless given."""
    print_drawing(lambda console: _draw_run_table(console, results), WIDTH, stream)


def _draw_run_table(console: Console, results: Results | Sequence[Results]) -> None:
    every = results if isinstance(results, Sequence) else [results]
    made = boards(every)
    measures = [measure for board in made for measure in board.measures]
    width = max((len(_format_head(measure)) for measure in measures), default=0)
    if any(measure.corrected for measure in measures):
        width = max(width, len(_BY_PEOPLE))
    for place, board in enumerate(made):
        for number, row in enumerate(board.rows):
            console.print(*([""] if place or number else []), *_run_row(board, row, width), sep="\n")
        for note in board.notes:
            console.print(f"  {one_line(note)}", style="yellow", markup=False)
    _draw_means(console, every)
    _draw_costs(console, every, named=len(every) > 1)


def _draw_means(console: Console, results: Sequence[Results]) -> None:
    for mean in means(results):
        console.print("", f"{one_line(mean.model)}  {one_line(mean.line)}", sep="\n", markup=False)


def _draw_costs(console: Console, results: Sequence[Results], *, named: bool) -> None:
    """What each run cost, if calls were sold; `named` puts the model in front."""
    for number, cost in enumerate(list_costs(results)):
        who = f"cost of {one_line(cost.model)}" if named else "cost"
        console.print(*([] if number else [""]), f"{who}: {one_line(cost.format(), 300)}", sep="\n", markup=False)


def _run_row(board: Board, row: Row, width: int) -> Iterator[RenderableType]:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    yield Text.assemble((one_line(board.name), "bold"), "  ", one_line(row.model))
    yield Padding(Text(" · ".join(_list_facts(row)), style="dim"), (0, 0, 0, 2))
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=width + 2, no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=5)
    table.add_column(no_wrap=True, min_width=len("[100.0, 100.0]"))
    table.add_column(style="dim")
    for measure in row.measures:
        style = "bold" if measure.main else ""
        value, interval = format_value(measure.value, measure.unit), format_interval(measure.ci95, measure.unit)
        cells = (f"  {_format_head(measure)}", value, interval)
        basis = [_describe_basis(measure)]
        if measure.main:  # how much it depends on its judge
            judging = (each for each in (row.over_judges, row.repeats) if each is not None)
            basis += [one_line(each.format(measure.unit), 200) for each in judging]
        if is_own_share(row.judge.name, measure.name):
            basis.append("the judge's own label, not mapped: see --map")
        table.add_row(*(Text(text, style=style) for text in cells), Text("; ".join(filter(None, basis))))
        found = measure.corrected
        if found is not None and found.value is not None:
            value, interval = format_value(found.value, measure.unit), format_interval(found.ci95, measure.unit)
            rests_on = Text(f"({count_things(found.labels, 'label')}) {found.brief_agreement}")
            table.add_row(f"  {_BY_PEOPLE}", value, interval, rests_on)
    yield table
    for note in _list_people_notes(row.measures):
        yield Padding(Text(one_line(note, 200), style="yellow"), (0, 0, 0, 2))


def _list_people_notes(measures: Iterable[Measure]) -> list[str]:
    """Why labels give no number of some metrics, and what to know of the numbers that they give; each once."""
    missing: dict[str, list[str]] = {}
    idle: list[str] = []
    notes: dict[str, None] = {}
    for measure in measures:
        found = measure.corrected
        if found is None or not found.labels:
            continue
        if found.value is None:
            missing.setdefault(found.why, []).append(measure.name)
        elif found.adds_nothing:
            idle.append(measure.name)
        notes |= dict.fromkeys(found.notes)
    sentences = [f"no number by people of {', '.join(names)}: {why}" for why, names in missing.items()]
    sentences += [f"{', '.join(idle)} by people: {ADDS_NOTHING}"] if idle else []
    return [*sentences, *notes]


def _list_facts(row: Row) -> Iterator[str]:
    """What belongs to every number of the row."""
    repeated = f" in {row.epochs} epochs" if row.epochs > 1 else ""
    yield f"n {row.n}{repeated}{' (subset)' if row.subset is not None else ''}"
    yield f"coverage {format_share(row.coverage)}{'' if row.complete else ' (incomplete)'}"
    yield f"blocked {row.blocked}"
    yield from (f"{name} {row.outcomes[name]}" for name in _MISSING if row.outcomes.get(name))
    yield from (f"{one_line(name)} {count}" for name, count in row.flags.items() if count)
    yield from (f"{one_line(name)} {count}" for name, count in row.verdicts.items() if count and name != "scored")
    yield f"judge {one_line(row.judge.label)}"
    if row.fidelity:
        yield f"wording {one_line(row.fidelity)}"


def _format_head(measure: Measure) -> str:
    return format_head(one_line(measure.name), measure.unit, measure.better)


def _describe_basis(measure: Measure) -> str:
    """What the value is divided by, how it was estimated, or why there is none."""
    divided = ""
    if measure.strata:
        parts: list[str] = []
        for name, part in measure.strata.items():
            ratio = f"{part['numerator']:g}/{part['denominator']:g}"
            parts.append(f"{one_line(name)} {format_value(part['value'], measure.unit)} ({ratio})")
        size = measure.harmonic
        kind = "mean of" if size == 1 else "harmonic mean of"
        if 1 < size < len(parts):
            kind = f"mean of harmonic means of {size} each:"
        divided = f"{kind} {', '.join(parts)}"
    elif measure.numerator is not None and measure.denominator is not None:
        unresolved = f", {measure.unresolved:g} unresolved" if measure.unresolved else ""
        divided = f"{measure.numerator:g}/{measure.denominator:g}{unresolved}"
    estimated = measure.estimated
    told = "" if estimated is None else f"estimated for {estimated[1]} answers from {estimated[0]} judged"
    return "; ".join(part for part in (divided, one_line(told or measure.why, 200)) if part)


def render_report_table(results: Sequence[Results], width: int | None = None) -> str:
    """The table of `harness report` as plain text, for a file or a pipe: no name is shortened.

    Args:
        results: dicts of results.json, one per run.
        width: leaves out metrics that do not fit beside the whole names; None shows all.
    """

    def draw(console: Console) -> None:
        _draw_report(console, results, width=width, prose=width or WIDTH, whole=True)

    return render_drawing(draw, _ENDLESS)


def print_report_table(results: Sequence[Results], stream: TextIO | None = None) -> None:
    """Print the table of `harness report`; `stream` is stdout unless given.

    Where there is no terminal it shows all, or what fits into COLUMNS if that is set.
    """
    out = sys.stdout if stream is None else stream
    if out.isatty():
        print_drawing(lambda console: draw_report_table(console, results), WIDTH, stream)
    else:
        columns = os.environ.get("COLUMNS", "")
        out.write(render_report_table(results, int(columns) if columns.isdecimal() and int(columns) else None))


def draw_report_table(console: Console, results: Sequence[Results]) -> None:
    """Print the table of `harness report` on the caller's console, and never wider than that."""
    _draw_report(console, results, width=console.width, prose=console.width, whole=False)


def _draw_report(console: Console, results: Sequence[Results], *, width: int | None, prose: int, whole: bool) -> None:
    from rich.text import Text

    groups = group_boards(boards(results), results)
    named = any(group.suite for group in groups)
    for place, group in enumerate(groups):
        if named:
            title = f"suite {one_line(group.suite)}" if group.suite else "in no suite"
            console.print(*([""] if place else []), Text(title, style="bold underline"), sep="\n")
        for number, board in enumerate(group.own):
            if number or named:
                console.print()
            _draw_board(console, board, width=width, prose=prose, whole=whole)
        if group.reference:
            console.print("", Text(one_line(group.reference, 2000), style="dim"), sep="\n", width=prose)
    _draw_means(console, results)
    _draw_costs(console, results, named=True)


def _draw_board(console: Console, board: Board, *, width: int | None, prose: int, whole: bool) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    judged = " | ".join(dict.fromkeys(row.judge.label for row in board.rows))
    worded = ", ".join(dict.fromkeys(row.fidelity for row in board.rows if row.fidelity))
    about = f"  judge {one_line(judged)}{f' · wording {one_line(worded)}' if worded else ''}"
    console.print(Text.assemble((one_line(board.name), "bold"), (about, "dim")), width=prose)
    names = [one_line(row.model) for row in board.rows]
    columns, name_width = _fit_columns(board, names, width, whole=whole)
    short = shorten_names(names, name_width)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    for place, column in enumerate(columns):
        taken = name_width if place == 1 else column.width
        table.add_column(justify="right" if column.right else "left", no_wrap=True, width=taken)
    table.add_row(*(Text(column.head, style="dim") for column in columns))
    standings = [find_standing(board, row) for row in board.rows]
    for number, (row, standing) in enumerate(zip(board.rows, standings, strict=True)):
        cells = [column.cells[number] for column in columns]
        cells[1] = short[number]
        style = _STYLES[standing] or ("dim" if row.rank is None else "")
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
    legend = [_LEGEND] if any(standings) else []
    for note in (*legend, *_list_missing(board, columns), *board.notes, *list_flags(board)):
        console.print(Padding(Text(one_line(note), style="dim"), (0, 0, 0, _GAP)), width=prose)


def _list_missing(board: Board, columns: Sequence[_Column]) -> Iterator[str]:
    """Which metrics the table leaves out, or shows without their intervals, and how to see them."""
    shown = {column.measure for column in columns}
    missing = [one_line(measure.name) for measure in board.measures if measure.name not in shown]
    bare = {column.measure for column in columns if column.measure and not column.has_interval}
    without = [one_line(measure.name) for measure in board.measures if measure.name in bare]
    told = "; ".join(
        f"{what}: {', '.join(names)}"
        for what, names in (("not shown", missing), ("without intervals", without))
        if names
    )
    if told:
        yield f"{told}. A wider terminal, a pipe or --format markdown shows all."


def shorten_names(names: Sequence[str], width: int) -> list[str]:
    """Names of at most so many columns, of which no two that differ look alike.

    A name loses first the folders in front of it, then the parts that most other names have too, at last its middle.
    """
    from rich.cells import cell_len, set_cell_size

    every = list(dict.fromkeys(names))
    shared = Counter(part for name in every for part in set(_PARTS.split(name)[::2]))
    tails = Counter(name.rpartition("/")[2] for name in every)
    short: dict[str, str] = {}
    for name in every:
        shown, folders = name, name.count("/") if tails[name.rpartition("/")[2]] == 1 else 0
        while cell_len(shown) > width and folders:
            shown, folders = f"…{shown.lstrip('…').partition('/')[2]}", folders - 1
        parts = _PARTS.split(shown.lstrip("…"))
        kept = list(range(0, len(parts), 2))
        while cell_len(shown) > width and len(kept) > 1:
            most = max(shared[parts[place]] for place in kept)
            if most < 2:
                break
            kept.remove(next(place for place in kept if shared[parts[place]] == most))
            shown = _join_parts(parts, kept)
        short[name] = shorten_middle(shown, width)
    taken = Counter(short.values())
    for number, (name, shown) in enumerate(short.items(), 1):
        if taken[shown] > 1:  # too little room for what tells them apart
            mark = f"#{number}"
            short[name] = f"{shorten_middle(shown, width - len(mark))}{mark}" if width > len(mark) else mark[-width:]
    return [set_cell_size(short[name], width) if cell_len(short[name]) > width else short[name] for name in names]


def _join_parts(parts: Sequence[str], kept: Sequence[int]) -> str:
    """The kept parts of a name with what separates them, `…` for those between."""
    shown = "" if kept[0] == 0 else "…"
    for before, place in zip((None, *kept), kept, strict=False):
        if before is not None:
            shown += parts[before + 1] if place == before + 2 else "…"
        shown += parts[place]
    return shown if kept[-1] >= len(parts) - 2 else f"{shown}…"


def shorten_middle(text: str, width: int) -> str:
    """A text of at most so many columns, without its middle: names differ by how they begin and end."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    if width < 3:
        return set_cell_size(text, width)
    head = (width - 1) // 2
    tail = width - 1 - head
    kept = text
    while cell_len(kept) > tail:
        kept = kept[1:]
    return f"{set_cell_size(text, head).rstrip()}…{kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One column.

    Attributes:
        head: its head.
        cells: one for each row.
        right: it holds numbers.
        measure: the name of its metric; empty for another column.
        has_interval: its numbers have their intervals.
    """

    head: str
    cells: tuple[str, ...]
    right: bool = True
    measure: str = ""
    has_interval: bool = False

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        from rich.cells import cell_len

        return max(cell_len(line) for cell in (self.head, *self.cells) for line in cell.split("\n"))


def _fit_columns(
    board: Board, names: Sequence[str], width: int | None, *, whole: bool
) -> tuple[tuple[_Column, ...], int]:
    """The columns of a board that fit, and the width of the model's name, which is the second column.

    First the main metric and its interval, and what people say of it, then other metrics, then their intervals.

    Args:
        board: of the rows.
        names: of its models.
        width: of the table; None for any.
        whole: shorten no name.
    """
    ranks = [("—" if row.rank is None else f"{row.rank}{_MARKS[find_standing(board, row)]}") for row in board.rows]
    rank = _Column(head="#", cells=tuple(ranks), right=False)
    name = _Column(head="model", cells=tuple(names), right=False)
    # what may follow the name, best first: flags next to each other or one a line, then fewer metrics
    full = [_metric_column(board, measure, interval=True) for measure in board.measures]
    short = [_metric_column(board, measure, interval=False) for measure in board.measures]
    people = _people_columns(board)
    choices = [
        [*full[:1], *people, *full[1:]],
        *([*full[:1], *people, *short[1:count]] for count in range(len(full), 0, -1)),
        full[:1],
        short[:1],
    ]
    tails = [_tail_columns(board, joined=True), _tail_columns(board, joined=False)]
    if width is None:
        return (rank, name, *choices[0], *tails[0]), name.width
    columns: tuple[_Column, ...] = (rank, name)
    least, left = name.width if whole else _find_least_width(names, name.width), width
    for metrics, tail in product(choices, tails):
        columns = (rank, name, *metrics, *tail)
        left = width - sum(column.width + _GAP for column in columns if column is not name)
        if left >= least:
            break
    return columns, name.width if whole else max(1, min(left, name.width))


def _find_least_width(names: Sequence[str], most: int) -> int:
    """The columns at which names still tell their models apart; never more than `_MOST`."""
    least = min(most, _LEAST)
    for width in range(least, min(most, _MOST)):
        short = shorten_names(names, width)
        if not any("#" in shown and "#" not in name for shown, name in zip(short, names, strict=True)):
            return width
    return min(most, _MOST)


def _metric_column(board: Board, measure: Measure, *, interval: bool) -> _Column:
    cells: list[str] = []
    for row in board.rows:
        found = row.find_measure(measure.name)
        if found is None:
            cells.append("")
        elif interval:
            cells.append(format_estimate(found.value, found.ci95, found.unit))
        else:
            cells.append(format_value(found.value, found.unit))
    return _Column(head=_format_head(measure), cells=tuple(cells), measure=measure.name, has_interval=interval)


def _people_columns(board: Board) -> list[_Column]:
    """The main metric by people, where a row has it."""
    cells: list[str] = []
    for row in board.rows:
        main = row.main
        found = None if main is None else main.corrected
        if main is None or found is None or found.value is None:
            cells.append("")
        else:
            cells.append(format_estimate(found.value, found.ci95, main.unit))
    return [_Column(head="by people", cells=tuple(cells))] if any(cells) else []


def _tail_columns(board: Board, *, joined: bool) -> tuple[_Column, ...]:
    """What belongs to every number; the column of flags only where a row has one."""
    every = board.rows
    flags = tuple((" " if joined else "\n").join(_row_flags(row)) for row in every)
    return (
        _Column(head="n", cells=tuple(f"{row.n}" if row.epochs == 1 else f"{row.n}x{row.epochs}" for row in every)),
        _Column(head="cov.", cells=tuple(format_share(row.coverage) for row in every)),
        _Column(head="blk", cells=tuple(str(row.blocked) for row in every)),
        *((_Column(head="flags", cells=flags, right=False),) if any(flags) else ()),
    )


def _row_flags(row: Row) -> Iterator[str]:
    """The row's faults and cautions, a word each; the notes say them in full."""
    if row.main is None or row.main.value is None:
        yield "unscored"
    if row.subset is not None:
        yield "subset"
    if not row.complete:
        yield "incomplete"
    yield from (caution.kind.replace("_", "-") for caution in row.cautions)
    if row.flags.get("truncated"):
        yield "truncated"
