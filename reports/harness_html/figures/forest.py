"""Intervals on named lines: forest plots, the splits of a task side by side, and what another judge changes.

Each model has a line of text, with its name and its number, and its interval below over the whole width of a column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from statistics import fmean
from typing import Final

from harness.board.display import format_value
from harness.board.leaderboard import Board
from harness.board.palette import LIGHT
from harness.board.rows import JudgeNote, Row

from . import readings
from .axes import EDGE, TICKS, Scale, draw_head, draw_interval, draw_people
from .canvas import COLUMN, PLAIN, Canvas, fit, fit_apart, measure
from .figure import Figure, Looks
from .readings import IN_TABLE, Entry, Key, Reading, make_distinct, make_slug, shorten

_ROW: Final = 29.0  #: px, from model to model
_TEXT: Final = 11.0  #: px, down to the base of its text
_NAME: Final = 13.0  #: px of its text
_LINE: Final = 19.0  #: px, down to its interval
_PEOPLE: Final = 9.0  #: px more for what people say
_RUNS: Final = 4.0  #: px more for the ticks of runs
_REMARK: Final = 13.0  #: px more for why it is not ranked
_MOST_SPLITS: Final = 6
_OF_A_SPLIT: Final = frozenset({"samples", "data"})  #: parts of the basis in which splits of one task may differ
_OF_A_JUDGE: Final = frozenset({"judge"})
_SIZES: Final = (6.4, 3.6, 3.4, 3.2, 2.8)  #: of judges' marks: each smaller than the one below, so that none is hidden
_INKS: Final = (LIGHT.faint, LIGHT.ink, LIGHT.people, LIGHT.quiet, LIGHT.ink)


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One split of a task in one class of comparability: its board, and model -> entry, best first."""

    board: Board
    entries: Mapping[Key, Entry]

    @property
    def name(self) -> str:
        """The split's name with the letter of its class."""
        split, group = shorten(self.board.split), self.board.group
        return f"{split} ({group})" if group else split


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRange:
    """The main numbers of one model under several judges; the row is the primary judge's."""

    row: Row
    readings: Mapping[JudgeNote, Reading]
    low: float
    high: float

    @property
    def first(self) -> Reading:
        """Any of the numbers: all have the same metric."""
        return next(iter(self.readings.values()))

    @property
    def order(self) -> tuple[float, float]:
        """Sort key: least first if lower is better."""
        return (self.low, self.high) if self.first.better == "lower" else (-self.high, -self.low)


def draw_forests(boards: Sequence[Board], looks: Looks) -> Iterator[Figure]:
    """A forest per board with several rows, then all single-row boards together, each in its own panel."""
    found = [
        (board, entries)
        for board in readings.select_primary_boards(boards)
        if (entries := readings.list_entries(board))
    ]
    for board, entries in found:
        if len(entries) < 2:
            continue
        drawn, first, title = readings.choose(entries), entries[0].reading, readings.format_board(board)
        rows = [each.row for each in drawn]
        caption = readings.join_clauses(
            f"{first.head} of {readings.format_count(len(drawn), 'model')} on {title}",
            readings.describe_direction(first.better),
            readings.describe_judges(rows),
            readings.format_sizes(row.n for row in rows),
            readings.describe_intervals(each.reading for each in drawn),
            readings.describe_runs(each.reading for each in drawn),
            readings.describe_people(rows),
            readings.describe_unranked(rows),
            readings.describe_choice(len(drawn), len(entries)),
        )
        canvas = Canvas(COLUMN)
        draw_head(canvas, 16, f"{first.head} on {title}")
        names = fit_apart([each.row.model for each in drawn], _name_room(drawn))
        ends = readings.find_ends(_list_readings(drawn))
        _draw_lines(canvas, 24, list(zip(names, drawn, strict=True)), looks, ends)
        text = f"{title}: {shorten(first.label)} with intervals"
        cells = ((each.name, _format_cell(each), *_tell_people(each.row, rows), f"{each.row.n:,}") for each in drawn)
        yield Figure(
            name=make_slug("forest", board.name),
            title=text,
            caption=caption,
            board=board.name,
            task=board.task,
            svg=canvas.finish(text, caption),
            table=(("Model", first.head, *_head_people(rows), "n"), *cells),
        )
    single = [(board, entries[0]) for board, entries in found if len(entries) == 1]

    def unit(member: tuple[Board, Entry]) -> str:
        return member[1].reading.unit

    for _, members in groupby(sorted(single, key=unit), key=unit):
        yield _draw_singles(list(members), looks)


def _list_readings(entries: Sequence[Entry]) -> list[Reading]:
    people = (readings.read_corrected(each.row) for each in entries)
    return [*(each.reading for each in entries), *(found for found in people if found is not None)]


def _name_room(entries: Sequence[Entry]) -> float:
    return COLUMN - 2 * EDGE - 8 - max((measure(each.reading.text) for each in entries), default=0)


def _draw_lines(
    canvas: Canvas,
    top: float,
    lines: Sequence[tuple[str, Entry]],
    looks: Looks,
    ends: tuple[float, float],
    heads: Mapping[int, str] | None = None,
) -> None:
    """Each entry with its name and number over its interval, on one scale; `heads` stand above some of them.

    Sets the canvas's height.
    """
    entries = [entry for _, entry in lines]
    people = any(readings.read_corrected(each.row) is not None for each in entries)
    step = _ROW + (_PEOPLE if people else 0) + (_RUNS if any(each.reading.runs for each in entries) else 0)
    tops: list[float] = []
    y = top
    for entry in entries:
        y += 19 if heads else 0
        tops.append(y)
        y += step + (_REMARK if entry.row.unranked else 0)
    unit = entries[0].reading.unit
    scale = Scale(ends=ends, left=EDGE + 2, right=canvas.width - EDGE - 2, unit=unit)
    if heads or any(each.row.unranked for each in entries):
        scale.draw(canvas, top + 4, y)
    else:
        scale.draw(canvas, top + _NAME, y, f"{step - _NAME:g} {_NAME:g}")
    for place, ((name, entry), at) in enumerate(zip(lines, tops, strict=True)):
        look, reading, row = looks.of(entry.row), entry.reading, entry.row
        if heads:
            canvas.text(EDGE, at - 3, fit(heads[place], canvas.width - 2 * EDGE, PLAIN), size=PLAIN, bold=True)
        with canvas.model(look):
            ink = LIGHT.quiet if row.unranked else LIGHT.ink
            canvas.text(EDGE, at + _TEXT, name, fill=ink)
            canvas.text(canvas.width - EDGE, at + _TEXT, reading.text, fill=ink, anchor="end")
            draw_interval(canvas, scale, at + _LINE, reading, look, hollow=bool(row.unranked))
            if (found := readings.read_corrected(row)) is not None:
                draw_people(canvas, scale, at + _LINE + (_RUNS if reading.runs else 0) + _PEOPLE, found)
            if row.unranked:
                remark = fit(f"not ranked: {row.unranked}", canvas.width - 2 * EDGE)
                below = at + (step if reading.runs or found is not None else _ROW)
                canvas.text(EDGE, below + 6, remark, fill=LIGHT.quiet)
    canvas.height = y + TICKS + 2


def _head_people(rows: Sequence[Row]) -> tuple[str, ...]:
    return ("By people",) if readings.describe_people(rows) else ()


def _tell_people(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """The cell of a row's number by people; no cell where no row has one."""
    found = readings.read_corrected(row)
    return ("" if found is None else found.text,) if readings.describe_people(rows) else ()


def _draw_singles(members: Sequence[tuple[Board, Entry]], looks: Looks) -> Figure:
    chosen = readings.choose(members)
    drawn = [(f"{readings.format_board(board)}: {entry.reading.head}", entry) for board, entry in chosen]
    entries = [entry for _, entry in drawn]
    rows, unit = [entry.row for entry in entries], entries[0].reading.unit
    caption = readings.join_clauses(
        f"the main number of {readings.format_count(len(drawn), 'split')} that one model was measured on",
        readings.format_sizes(row.n for row in rows),
        readings.describe_intervals(each.reading for each in entries),
        readings.describe_runs(each.reading for each in entries),
        readings.describe_people(rows),
        readings.describe_unranked(rows),
        readings.describe_rest(len(drawn), len(members), "split"),
    )
    canvas, title = Canvas(COLUMN), "Splits with one result each"
    room = _name_room(entries)
    lines = [(fit(entry.row.model, room), entry) for entry in entries]
    heads = {place: text for place, (text, _) in enumerate(drawn)}
    _draw_lines(canvas, 6, lines, looks, readings.find_ends(_list_readings(entries)), heads)
    tasks = {board.task for board, _ in chosen}
    return Figure(
        name=make_slug("forest-single", "" if unit == "%" else unit),
        title=title,
        caption=caption,
        task=tasks.pop() if len(tasks) == 1 else "",
        svg=canvas.finish(title, caption),
        table=(
            ("Split", "Model", "Main number", *_head_people(rows), "n"),
            *(
                (text, each.name, _format_cell(each), *_tell_people(each.row, rows), f"{each.row.n:,}")
                for text, each in drawn
            ),
        ),
    )


def format_entry(entry: Entry) -> str:
    """`80.3 [78.3, 82.1]`, and why it is not ranked."""
    remark = shorten(entry.row.unranked, 40) if entry.row.unranked else ""
    return f"{entry.reading.text}{f'  {remark}' if remark else ''}"


def _format_cell(entry: Entry) -> str:
    """The same with what it counts."""
    counts = entry.reading.counts
    return f"{format_entry(entry)}, {counts}" if counts else format_entry(entry)


def draw_splits(boards: Sequence[Board], looks: Looks) -> Iterator[Figure]:
    """The splits of each task side by side, if main number, judge and settings are the same."""
    pooled = {(board.task, board.part_of) for board in boards if board.part_of}
    families: dict[tuple[str, ...], list[Panel]] = {}
    for board in boards:
        entries = readings.list_entries(board)
        if entries and (board.task, board.split) not in pooled and any(each.row.primary for each in entries):
            first = entries[0]
            metric = first.reading.label, first.reading.better, first.reading.unit
            panel = Panel(board=board, entries={readings.identify(each.row): each for each in entries})
            families.setdefault((board.task, *metric, *readings.list_basis(first.row, _OF_A_SPLIT)), []).append(panel)
    for (task, *_), panels in families.items():
        if len({panel.name for panel in panels}) > 1:
            yield _draw_splits(task, panels, looks)


def _draw_splits(task: str, every: Sequence[Panel], looks: Looks) -> Figure:
    panels, title = every[:_MOST_SPLITS], shorten(task, 60)

    def order(model: Key) -> tuple[int, float]:
        """Models on more splits first, then best first by the mean over these splits."""
        found = [panel.entries[model].reading for panel in panels if model in panel.entries]
        mean = fmean(reading.value for reading in found)
        return -len(found), mean if found[0].better == "lower" else -mean

    models = sorted(dict.fromkeys(model for panel in panels for model in panel.entries), key=order)
    shown = readings.choose(models)
    drawn = [panel.entries[model] for panel in panels for model in shown if model in panel.entries]
    rows, first = [each.row for each in drawn], drawn[0].reading
    firsts = [next(panel.entries[model] for panel in panels if model in panel.entries) for model in shown]
    names = dict(zip(shown, make_distinct(each.row.model for each in firsts), strict=True))
    sizes = [f"{panel.name} {readings.format_sizes(each.row.n for each in panel.entries.values())}" for panel in panels]
    caption = readings.join_clauses(
        f"{first.head} of {readings.format_count(len(shown), 'model')} on "
        f"{readings.format_count(len(panels), 'split')} of {title} ({', '.join(sizes)}), "
        f"{readings.describe_direction(first.better)}",
        readings.describe_judges(rows),
        readings.describe_intervals(each.reading for each in drawn),
        readings.describe_runs(each.reading for each in drawn),
        readings.describe_unranked(rows),
        readings.describe_choice(len(shown), len(models)),
        readings.describe_rest(len(panels), len(every), "split"),
    )
    canvas = Canvas(COLUMN)
    draw_head(canvas, 16, first.head)
    gap = 16.0
    width = (COLUMN - 2 * EDGE - 4 - gap * (len(panels) - 1)) / len(panels)
    ends = readings.find_ends(entry.reading for panel in panels for entry in panel.entries.values())
    top, step = 40.0, _ROW + (_RUNS if any(each.reading.runs for each in drawn) else 0)
    bottom = top + step * len(shown)
    scales: list[Scale] = []
    heads = fit_apart([panel.name for panel in panels], width, PLAIN)
    for place, head in enumerate(heads):
        left = EDGE + 2 + place * (width + gap)
        scales.append(Scale(ends=ends, left=left, right=left + width, unit=first.unit))
        canvas.text(left, 34, fit(head, width, PLAIN * 1.1), size=PLAIN, bold=True)
        scales[-1].draw(canvas, top + _NAME, bottom, f"{step - _NAME:g} {_NAME:g}")
    fitted = fit_apart([each.row.model for each in firsts], COLUMN - 2 * EDGE)
    for place, (model, name) in enumerate(zip(shown, fitted, strict=True)):
        at, look = top + step * place, looks.of(firsts[place].row)
        with canvas.model(look):
            canvas.text(EDGE, at + _TEXT, name)
            for panel, scale in zip(panels, scales, strict=True):
                if (entry := panel.entries.get(model)) is not None:
                    hollow = bool(entry.row.unranked)
                    draw_interval(canvas, scale, at + _LINE + 1, entry.reading, look, hollow=hollow)
    canvas.height = bottom + TICKS + 2
    text = f"{shorten(first.label)} on the splits of {title}"
    return Figure(
        name=make_slug("splits", task),
        title=text,
        caption=caption,
        board=panels[0].board.name,
        task=task,
        svg=canvas.finish(text, caption),
        table=(
            ("Model", *(panel.name for panel in panels)),
            *(
                (name, *(format_entry(panel.entries[model]) if model in panel.entries else "" for panel in panels))
                for model, name in names.items()
            ),
        ),
    )


def draw_judges(boards: Sequence[Board], looks: Looks) -> Iterator[Figure]:
    """How far the main numbers of each split move when another judge reads the same answers."""
    splits: dict[str, list[tuple[Board, Row]]] = {}
    for board in readings.select_whole_boards(boards):
        splits.setdefault(board.title, []).extend((board, row) for row in board.rows)
    for title, given in splits.items():
        alike: dict[tuple[Key, Key], list[Row]] = {}  # in all but the judge
        for _, row in given:
            alike.setdefault((readings.identify(row), readings.list_basis(row, _OF_A_JUDGE)), []).append(row)
        ranges: list[JudgeRange] = []
        for members in alike.values():
            read = ((row.judge, readings.read_measure(row.main)) for row in members if row.judge.id)
            numbers = {judge: found for judge, found in read if found is not None}
            if len(numbers) > 1 and len({(each.label, each.unit, each.better) for each in numbers.values()}) == 1:
                own = next((row for row in members if row.primary), members[0])
                values = [each.value for each in numbers.values()]
                ranges.append(JudgeRange(row=own, readings=numbers, low=min(values), high=max(values)))
        if ranges:
            yield _draw_judges(given[0][0], title, sorted(ranges, key=attrgetter("order")), looks)


def _draw_judges(board: Board, title: str, ranges: Sequence[JudgeRange], looks: Looks) -> Figure:
    drawn, first, shown = readings.choose(ranges), ranges[0].first, shorten(title, 60)
    rows = [each.row for each in drawn]
    judges = list(dict.fromkeys(judge for each in drawn for judge in each.readings))
    labels = dict(zip(judges, make_distinct((judge.label for judge in judges), 60), strict=True))
    count = readings.format_count(len(judges), "judge")
    widest = max(each.high - each.low for each in drawn)
    lines = [("Model", *labels.values(), "Range")]
    for each in drawn:
        cells = (each.readings[judge].table_text if judge in each.readings else "" for judge in labels)
        lines.append((shorten(each.row.model, IN_TABLE), *cells, format_value(each.high - each.low, first.unit)))
    caption = readings.join_clauses(
        f"{first.head} of {readings.format_count(len(drawn), 'model')} on {shown} as each of {count} reads the "
        f"same answers, {readings.describe_direction(first.better)}",
        readings.format_sizes(row.n for row in rows),
        f"a bar leads from the least to the greatest number, at most {format_value(widest, first.unit)} apart",
        "marks stand for judges here, not for models",
        readings.describe_unranked(rows, "with a remark"),
        readings.describe_choice(len(drawn), len(ranges)),
    )
    canvas = Canvas(COLUMN)
    draw_head(canvas, 16, f"{first.head} on {shown}")
    y = 32.0
    for place, label in enumerate(labels.values()):
        _draw_judge(canvas, EDGE + 7, y - 3.5, place)
        canvas.text(EDGE + 18, y, fit(label, COLUMN - 2 * EDGE - 18))
        y += 15
    _draw_ranges(canvas, y, drawn, list(labels), looks)
    text = f"{shorten(first.label)} on {shown} under {count}"
    return Figure(
        name=make_slug("judges", title),
        title=text,
        caption=caption,
        board=board.name,
        task=board.task,
        svg=canvas.finish(text, caption),
        table=tuple(lines),
    )


def _draw_ranges(
    canvas: Canvas, y: float, ranges: Sequence[JudgeRange], judges: Sequence[JudgeNote], looks: Looks
) -> None:
    """A bar per model, and a mark on it per judge; marks after the fifth look alike."""
    first = ranges[0].first
    step = 32.0
    heights = [step + (_REMARK if each.row.unranked else 0) for each in ranges]
    ends = readings.find_ends(found for each in ranges for found in each.readings.values())
    scale = Scale(ends=ends, left=EDGE + 2, right=COLUMN - EDGE - 2, unit=first.unit)
    top, bottom = y, y + sum(heights)
    plain = any(each.row.unranked for each in ranges)
    scale.draw(canvas, top + _NAME, bottom, "" if plain else f"{step - _NAME:g} {_NAME:g}")
    texts = [f"{format_value(each.low, first.unit)} to {format_value(each.high, first.unit)}" for each in ranges]
    room = COLUMN - 2 * EDGE - 8 - max(measure(text) for text in texts)
    names = fit_apart([each.row.model for each in ranges], room)
    for each, name, text, height in zip(ranges, names, texts, heights, strict=True):
        with canvas.model(looks.of(each.row)):
            canvas.text(EDGE, y + _TEXT, name)
            canvas.text(COLUMN - EDGE, y + _TEXT, text, fill=LIGHT.quiet, anchor="end")
            left, right = scale.place(each.low), scale.place(each.high)
            canvas.box(left, y + _LINE, max(right - left, 1), 5, LIGHT.line)
            for place, judge in enumerate(judges):
                if judge in each.readings:
                    _draw_judge(canvas, scale.place(each.readings[judge].value), y + _LINE + 2.5, place)
            if each.row.unranked:
                remark = fit(f"not ranked: {each.row.unranked}", COLUMN - 2 * EDGE)
                canvas.text(EDGE, y + height - 2, remark, fill=LIGHT.quiet)
        y += height
    canvas.height = bottom + TICKS + 2


def _draw_judge(canvas: Canvas, x: float, y: float, place: int) -> None:
    last = min(place, len(_SIZES) - 1)
    canvas.shape(x, y, last, _INKS[last], size=_SIZES[last])
