"""Intervals on named lines: forest plots, the splits of a task side by side, and what another judge changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from statistics import fmean
from typing import Any, Final

from harness.board.display import format_value
from harness.board.leaderboard import Board
from harness.board.rows import JudgeNote, Row

from . import charts, readings
from .charts import LIGHT, STEP, WIDTH, Draft, Spec
from .readings import IN_TABLE, MOST, Entry, Key, Reading, make_distinct, make_slug, shorten

_SPLITS_WIDTH: Final = 540  #: px, of all panels of splits together
_LEAST_WIDTH: Final = 110  #: px, of one panel
_MOST_SPLITS: Final = 6
_OF_A_SPLIT: Final = frozenset({"samples", "data"})  #: parts of the basis in which splits of one task may differ
_PEOPLE_DOWN: Final = 9  #: px, from a model's dot down to what people say
_OF_A_JUDGE: Final = frozenset({"judge"})
_SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross")
_SIZES: Final = (120, 44, 40, 30, 20)  #: sizes of the shapes: each smaller than the one below, so that none is hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One split of a task in one class of comparability: its name with its letter, and model -> entry, best first."""

    name: str
    entries: Mapping[Key, Entry]


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


def draft_forests(boards: Sequence[Board]) -> Iterator[Draft]:
    """A forest per board with several rows, then all single-row boards together, each in its own panel."""
    found = [
        (board, entries)
        for board in readings.select_primary_boards(boards)
        if (entries := readings.list_entries(board))
    ]
    for board, entries in found:
        if len(entries) > 1:
            yield _draft_forest(board, entries)
    single = [(board, entries[0]) for board, entries in found if len(entries) == 1]

    def unit(member: tuple[Board, Entry]) -> str:
        return member[1].reading.unit

    for _, members in groupby(sorted(single, key=unit), key=unit):
        yield _draft_singles(list(members))


def _draft_forest(board: Board, entries: Sequence[Entry]) -> Draft:
    drawn, first, title = entries[:MOST], entries[0].reading, readings.format_board(board)
    rows = [each.row for each in drawn]
    return Draft(
        name=make_slug("forest", board.name),
        title=f"{title}: {shorten(first.label)} with intervals",
        caption=readings.join_clauses(
            f"{first.head} of {readings.format_count(len(drawn), 'model')} on {title}",
            readings.describe_direction(first.better),
            readings.describe_judges(rows),
            readings.format_sizes(row.n for row in rows),
            readings.describe_intervals(each.reading for each in drawn),
            readings.describe_people(rows),
            readings.describe_unranked(rows),
            readings.describe_rest(len(drawn), len(entries)),
        ),
        chart=_draw_forest(drawn, f"{first.head} on {title}"),
        table=(
            ("Model", first.head, *_head_people(rows), "n"),
            *((each.name, _format_entry(each), *_tell_people(each.row, rows), f"{each.row.n:,}") for each in drawn),
        ),
    )


def _head_people(rows: Sequence[Row]) -> tuple[str, ...]:
    return ("By people",) if readings.describe_people(rows) else ()


def _tell_people(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """The cell of a row's number by people; no cell where no row has one."""
    found = readings.read_corrected(row)
    return ("" if found is None else found.text,) if readings.describe_people(rows) else ()


def _draft_singles(members: Sequence[tuple[Board, Entry]]) -> Draft:
    drawn = [(f"{readings.format_board(board)}: {entry.reading.head}", entry) for board, entry in members[:MOST]]
    entries = [entry for _, entry in drawn]
    rows, unit = [entry.row for entry in entries], entries[0].reading.unit
    return Draft(
        name=make_slug("forest-single", "" if unit == "%" else unit),
        title="Splits with one result each",
        caption=readings.join_clauses(
            f"the main number of {readings.format_count(len(drawn), 'split')} that one model was measured on",
            readings.format_sizes(row.n for row in rows),
            readings.describe_intervals(each.reading for each in entries),
            readings.describe_people(rows),
            readings.describe_unranked(rows),
            readings.describe_rest(len(drawn), len(members), "split"),
        ),
        chart={"vconcat": [{**_draw_forest([each], None), "title": title} for title, each in drawn], "spacing": 14},
        table=(
            ("Split", "Model", "Main number", *_head_people(rows), "n"),
            *(
                (title, each.name, _format_entry(each), *_tell_people(each.row, rows), f"{each.row.n:,}")
                for title, each in drawn
            ),
        ),
    )


def _draw_forest(entries: Sequence[Entry], title: str | None) -> Spec:
    names = [each.name for each in entries]
    data = [
        {
            **charts.make_dot(each.name, each.reading, each.row),
            "text": _format_entry(each),
            "ink": LIGHT.quiet if each.row.unranked else LIGHT.ink,
        }
        for each in entries
    ]
    people = [
        {"name": each.name, "low": found.low, "high": found.high, "value": found.value}
        for each in entries
        if (found := readings.read_corrected(each.row)) is not None
    ]
    given = [each.reading for each in entries]
    given += [found for each in entries if (found := readings.read_corrected(each.row)) is not None]
    dots = charts.draw_dots(data, names, title, readings.find_ends(given))
    second = _draw_people(people, names) if people else ()
    step = STEP + _PEOPLE_DOWN if people else STEP
    return charts.layer(*dots, *second, *charts.write_at_right(data, names, WIDTH), width=WIDTH, step=step)


def _draw_people(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[Spec, ...]:
    """A diamond with its interval a little below each model's dot."""
    look = {"yOffset": _PEOPLE_DOWN, "color": LIGHT.series[1]}
    line: Spec = {"type": "rule", "strokeWidth": 1.5, "strokeDash": [3, 2], **look}
    mark: Spec = {"type": "point", "shape": "diamond", "size": 46, "filled": True, "opacity": 1, **look}
    y = charts.name_axis(names)
    return (
        charts.plot(data, line, y=y, x=charts.number("low"), x2={"field": "high"}),
        charts.plot(data, mark, y=y, x=charts.number("value")),
    )


def _format_entry(entry: Entry) -> str:
    remark = charts.format_remark(entry.row)
    return f"{entry.reading.text}{f'  {remark}' if remark else ''}"


def draft_splits(boards: Sequence[Board]) -> Iterator[Draft]:
    """The splits of each task side by side, if main number, judge and settings are the same."""
    pooled = {(board.task, board.part_of) for board in boards if board.part_of}
    families: dict[tuple[str, ...], list[Panel]] = {}
    for board in boards:
        entries = readings.list_entries(board)
        if entries and (board.task, board.split) not in pooled and any(each.row.primary for each in entries):
            first = entries[0]
            metric = first.reading.label, first.reading.better, first.reading.unit
            name = f"{shorten(board.split)} ({board.group})" if board.group else shorten(board.split)
            panel = Panel(name=name, entries={readings.identify(each.row): each for each in entries})
            families.setdefault((board.task, *metric, *readings.list_basis(first.row, _OF_A_SPLIT)), []).append(panel)
    for (task, *_), panels in families.items():
        if len({panel.name for panel in panels}) > 1:
            yield _draft_splits(task, panels)


def _draft_splits(task: str, every: Sequence[Panel]) -> Draft:
    panels, title = every[:_MOST_SPLITS], shorten(task, 60)

    def order(model: Key) -> tuple[int, float]:
        """Models on more splits first, then best first by the mean over these splits."""
        found = [panel.entries[model].reading for panel in panels if model in panel.entries]
        mean = fmean(reading.value for reading in found)
        return -len(found), mean if found[0].better == "lower" else -mean

    models = sorted(dict.fromkeys(model for panel in panels for model in panel.entries), key=order)
    shown = models[:MOST]
    drawn = [panel.entries[model] for panel in panels for model in shown if model in panel.entries]
    rows, first = [each.row for each in drawn], drawn[0].reading
    firsts = (next(panel.entries[model] for panel in panels if model in panel.entries) for model in shown)
    names = dict(zip(shown, make_distinct(each.row.model for each in firsts), strict=True))
    ends = readings.find_ends(entry.reading for panel in panels for entry in panel.entries.values())
    width, lines = max(_LEAST_WIDTH, _SPLITS_WIDTH // len(panels)), list(names.values())
    columns: list[Spec] = []
    for panel in panels:
        data = [
            charts.make_dot(name, entry.reading, entry.row)
            for model, name in names.items()
            if (entry := panel.entries.get(model)) is not None
        ]
        dots = charts.draw_dots(data, lines, first.head, ends, shown=not columns)
        columns.append(charts.layer(*dots, width=width, step=STEP, title={"text": panel.name, "limit": width}))
    sizes = [f"{panel.name} {readings.format_sizes(each.row.n for each in panel.entries.values())}" for panel in panels]
    return Draft(
        name=make_slug("splits", task),
        title=f"{shorten(first.label)} on the splits of {title}",
        caption=readings.join_clauses(
            f"{first.head} of {readings.format_count(len(shown), 'model')} on "
            f"{readings.format_count(len(panels), 'split')} of {title} ({', '.join(sizes)}), "
            f"{readings.describe_direction(first.better)}",
            readings.describe_judges(rows),
            readings.describe_intervals(each.reading for each in drawn),
            readings.describe_unranked(rows),
            readings.describe_rest(len(shown), len(models)),
            readings.describe_rest(len(panels), len(every), "split"),
        ),
        chart={"hconcat": columns, "spacing": 18},
        table=(
            ("Model", *(panel.name for panel in panels)),
            *(
                (name, *(_format_entry(panel.entries[model]) if model in panel.entries else "" for panel in panels))
                for model, name in names.items()
            ),
        ),
    )


def draft_judges(boards: Sequence[Board]) -> Iterator[Draft]:
    """How far the main numbers of each split move when another judge reads the same answers."""
    splits: dict[str, list[Row]] = {}
    for board in readings.select_whole_boards(boards):
        splits.setdefault(board.title, []).extend(board.rows)
    for title, rows in splits.items():
        alike: dict[tuple[Key, Key], list[Row]] = {}  # in all but the judge
        for row in rows:
            alike.setdefault((readings.identify(row), readings.list_basis(row, _OF_A_JUDGE)), []).append(row)
        ranges: list[JudgeRange] = []
        for members in alike.values():
            read = ((row.judge, readings.read_measure(row.main)) for row in members if row.judge.id)
            given = {judge: found for judge, found in read if found is not None}
            if len(given) > 1 and len({(each.label, each.unit, each.better) for each in given.values()}) == 1:
                own = next((row for row in members if row.primary), members[0])
                values = [each.value for each in given.values()]
                ranges.append(JudgeRange(row=own, readings=given, low=min(values), high=max(values)))
        if ranges:
            yield _draft_judges(title, sorted(ranges, key=attrgetter("order")))


def _draft_judges(title: str, ranges: Sequence[JudgeRange]) -> Draft:
    drawn, first, shown = ranges[:MOST], ranges[0].first, shorten(title, 60)
    rows = [each.row for each in drawn]
    judges = list(dict.fromkeys(judge for each in drawn for judge in each.readings))
    labels = dict(zip(judges, make_distinct((judge.label for judge in judges), 60), strict=True))
    count = readings.format_count(len(judges), "judge")
    widest = max(each.high - each.low for each in drawn)
    lines = [("Model", *labels.values(), "Range")]
    for each in drawn:
        cells = (each.readings[judge].text if judge in each.readings else "" for judge in labels)
        lines.append((shorten(each.row.model, IN_TABLE), *cells, format_value(each.high - each.low, first.unit)))
    return Draft(
        name=make_slug("judges", title),
        title=f"{shorten(first.label)} on {shown} under {count}",
        caption=readings.join_clauses(
            f"{first.head} of {readings.format_count(len(drawn), 'model')} on {shown} as each of {count} reads the "
            f"same answers, {readings.describe_direction(first.better)}",
            readings.format_sizes(row.n for row in rows),
            f"a bar leads from the least to the greatest number, at most {format_value(widest, first.unit)} apart",
            readings.describe_unranked(rows, "with a remark at the right"),
            readings.describe_rest(len(drawn), len(ranges)),
        ),
        chart=_draw_judges(f"{first.head} on {shown}", drawn, labels, first.unit),
        table=tuple(lines),
    )


def _draw_judges(title: str, ranges: Sequence[JudgeRange], labels: Mapping[JudgeNote, str], unit: str) -> Spec:
    """A bar per model, and a mark on it per judge; marks after the fifth look alike."""
    names = make_distinct(each.row.model for each in ranges)
    bars: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    for name, each in zip(names, ranges, strict=True):
        remark = charts.format_remark(each.row)
        text = f"{format_value(each.low, unit)} to {format_value(each.high, unit)}{f'  {remark}' if remark else ''}"
        bars.append({"name": name, "low": each.low, "high": each.high, "text": text, "ink": LIGHT.quiet})
        marks += [
            {"name": name, "judge": labels[judge], "value": found.value} for judge, found in each.readings.items()
        ]
    looks: dict[str, tuple[Sequence[str | int], str | int]] = {
        "fill": (LIGHT.series, LIGHT.faint),
        "shape": (_SHAPES, "circle"),
        "size": (_SIZES, _SIZES[-1]),
    }
    channels = {
        channel: charts.word(
            "judge",
            scale={"domain": list(labels.values()), "range": [*own, *([other] * len(labels))][: len(labels)]},
            legend={"title": None, "orient": "top", "columns": 1},
        )
        for channel, (own, other) in looks.items()
    }
    x = charts.axis("low", title, readings.find_ends(found for each in ranges for found in each.readings.values()))
    bar = {"type": "bar", "height": 7, "color": LIGHT.line}
    mark = {"type": "point", "opacity": 1, "stroke": LIGHT.ground, "strokeWidth": 0.7}
    return charts.layer(
        charts.plot(bars, bar, x=x, x2={"field": "high"}, y=charts.name_axis(names, grid=True)),
        charts.plot(marks, mark, y=charts.name_axis(names), x=charts.number("value"), **channels),
        *charts.write_at_right(bars, names, WIDTH),
        width=WIDTH,
        step=STEP,
    )
