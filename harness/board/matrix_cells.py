"""Numbers of the paper table before they are set: why one is compared with nothing, its footnotes, and its cell.

A footnote stands once: as a fact below the table, at a row, at a column, or at cells.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.board.corrected import ADDS_NOTHING, UNKNOWN_AGREEMENT, count_things
from harness.board.display import format_value
from harness.board.leaderboard import explain_partial, mark_rank, rank_intervals, turn_interval
from harness.board.matrix_template import Style
from harness.board.rows import GIVEN, JudgeNote, Measure, Row
from harness.matrix import MatrixCell, MatrixColumn, MatrixNote
from harness.stats.intervals import Interval

_MARKS: Final = (*string.ascii_lowercase, *(a + b for a in string.ascii_lowercase for b in string.ascii_lowercase))


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixNumber:
    """One number before it is rounded.

    Attributes:
        value: None where there is none; a note says why.
        ends: its 95% interval.
        worst: the interval that ranks use, turned so that lower is better.
        sd: standard deviation between seeds.
        seeds: how many runs it is the mean of; 0 for one run.
        bar: why it is compared with no other number; empty if it is.
        notes: texts of its footnotes.
    """

    value: float | None
    ends: tuple[float | None, float | None] = (None, None)
    worst: Interval | None = None
    sd: float | None = None
    seeds: int = 0
    bar: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """One column with its numbers, one for each row; `judge` is empty where the template names it."""

    head: MatrixColumn
    style: Style
    numbers: tuple[MatrixNumber, ...]
    judge: JudgeNote = JudgeNote()


def explain_bar(row: Row) -> str:
    """Why no number of a row is compared with others; empty if they are."""
    return GIVEN if row.unranked == GIVEN else explain_partial(row)


def list_cautions(row: Row, measure: Measure, *, renamed: bool) -> Iterator[str]:
    """What must be held against a number; the strategy and the system prompt only where the name does not tell them."""
    if row.n_expected is not None and row.n != row.n_expected and row.subset is None:
        yield f"{row.n} samples, where {row.n_expected} are published"
    for caution in row.cautions:
        if renamed or caution.kind not in ("attack", "strategy", "system"):
            yield caution.told
    if renamed and row.seeds:
        yield f"mean over {len(row.seeds)} seeds"
    if measure.estimated is not None:
        judged, of = measure.estimated
        yield f"estimated for {of} answers from the {judged} that are judged"
    yield from (note.removesuffix(".") for note in row.noted)


def read_corrected(picked: tuple[int, Row] | str, name: str, apart: str) -> MatrixNumber:
    """What people's labels say of a metric of a row."""
    if isinstance(picked, str):
        return MatrixNumber(value=None, notes=(picked or "not published",))
    row = picked[1]
    measure = row.find_measure(name)
    found = None if measure is None else measure.corrected
    if measure is None or found is None or found.value is None:
        return MatrixNumber(value=None, notes=((found and found.why) or "not labelled by people",))
    bar = explain_bar(row) or apart
    notes = [f"from labels of {count_things(found.labels, 'answer')}, for all {found.of}"]
    if found.alpha is None:
        notes[0] += f"; {UNKNOWN_AGREEMENT}"
    notes += [f"not compared: {bar}"] if bar else []
    notes += [ADDS_NOTHING] if found.adds_nothing else []
    notes += [note.removesuffix(".") for note in found.notes]
    worst = turn_interval(found.ci95, measure.better)
    return MatrixNumber(value=found.value, ends=found.ci95, worst=worst, bar=bar, notes=tuple(notes))


def write_sentence(text: str) -> str:
    """A text as a sentence; a name at its beginning stays as it is."""
    first = text.partition(" ")[0]
    return f"{text[:1].upper() if first.isalpha() and first.islower() else text[:1]}{text[1:]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedNotes:
    """Where each footnote stands: marks by column, by row, by cell (column, then row), and what holds everywhere."""

    columns: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[tuple[str, ...], ...], ...]
    texts: tuple[MatrixNote, ...]
    whole: tuple[str, ...]


def place_notes(columns: Sequence[NumberColumn], published: Sequence[bool]) -> PlacedNotes:
    """Each footnote once: as a fact if it holds for every number of the runs, else at rows, at columns, at cells.

    Numbers as published and means of suites have cautions of their own, so they do not stand in the way of that.
    """
    holds: dict[str, set[tuple[int, int]]] = {}  # text -> (row, column)
    own: set[tuple[int, int]] = set()  # numbers of runs
    others: set[tuple[int, int]] = set()
    for across, column in enumerate(columns):
        for down, number in enumerate(column.numbers):
            is_own = not published[down] and column.head.task
            if number.value is not None:
                (own if is_own else others).add((down, across))
            for text in number.notes:
                holds.setdefault(text, set()).add((down, across))
    whole = tuple(text for text, places in holds.items() if places >= own and len(own) > 1)
    in_row: dict[int, list[str]] = {}
    in_column: dict[int, list[str]] = {}
    in_cell: dict[tuple[int, int], list[str]] = {}
    for text, places in holds.items():
        left = places - own if text in whole else set(places)
        # the row of a model, the column of a split, the row of a published model
        for holder, axis, size, numbers in (
            (in_row, 0, len(published), own),
            (in_column, 1, len(columns), own),
            (in_row, 0, len(published), others),
        ):
            for place in range(size):
                mine = {each for each in numbers if each[axis] == place}
                if len(mine) > 1 and mine <= left:
                    holder.setdefault(place, []).append(text)
                    left -= mine
        for each in left:
            in_cell.setdefault(each, []).append(text)
    order: dict[str, str] = {}  # marks in reading order: heads, then row by row

    def mark(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(
            order.setdefault(text, _MARKS[len(order)] if len(order) < len(_MARKS) else str(len(order)))
            for text in texts
        )

    heads = tuple(mark(in_column.get(place, ())) for place in range(len(columns)))
    rows: list[tuple[str, ...]] = []
    cells: list[list[tuple[str, ...]]] = [[] for _ in columns]
    for down in range(len(published)):
        rows.append(mark(in_row.get(down, ())))
        for across in range(len(columns)):
            cells[across].append(mark(in_cell.get((down, across), ())))
    texts = tuple(MatrixNote(mark=sign, text=write_sentence(text)) for text, sign in order.items())
    return PlacedNotes(
        columns=heads, rows=tuple(rows), cells=tuple(tuple(each) for each in cells), texts=texts, whole=whole
    )


def build_cells(column: NumberColumn, marks: Sequence[tuple[str, ...]]) -> list[MatrixCell]:
    """The cells of a column: numbers rounded, best and second marked."""
    head, style = column.head, column.style
    ranks = rank_intervals([None if each.bar else each.worst for each in column.numbers])

    def show(value: float | None) -> str:
        if value is None or style.digits is None:
            return format_value(value, head.unit)
        return f"{value:.{style.digits}f}"

    cells: list[MatrixCell] = []
    for number, rank, notes in zip(column.numbers, ranks, marks, strict=True):
        low, high = number.ends
        ends = None if low is None or high is None or number.value is None else (low, high)
        cells.append(
            MatrixCell(
                number=show(number.value),
                interval=f"[{show(ends[0])}, {show(ends[1])}]" if style.intervals and ends else "",
                spread="" if number.sd is None else f"± {show(number.sd)}",
                value=number.value,
                ci95=ends,
                sd=number.sd,
                seeds=number.seeds,
                standing=mark_rank(rank, ranks) if style.best else "",
                notes=notes,
                told=number.notes,
            )
        )
    return cells
