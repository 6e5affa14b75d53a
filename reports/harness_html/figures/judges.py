"""How far the main number of a model moves when another judge reads the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from harness.board.display import figure
from harness.board.values import Board, JudgeNote, Row

from . import told
from .dots import STEP, at_the_right, lines
from .entries import MOST, arrow, scale, whole
from .kinds import Reading, reading
from .names import apart, full, shown, slug
from .pairs import Key, identity
from .plots import Spec, axis, layer, number, plot, step, word
from .theme import LIGHT
from .values import Draft, Table

_WIDTH: Final = 420
_SIZES: Final = (120, 44, 40, 30, 20)  #: each smaller than the one below it, so that none is hidden
_SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """One model under several judges.

    Attributes:
        row: of the judge that stands first.
        by: judge -> the main number under it.
    """

    row: Row
    by: Mapping[JudgeNote, Reading]

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest of the numbers."""
        values = [found.value for found in self.by.values()]
        return min(values), max(values)

    @property
    def order(self) -> tuple[float, float]:
        """Least first where the best has least."""
        low, high = self.ends
        return (low, high) if next(iter(self.by.values())).better == "lower" else (-high, -low)


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """The ranges of each split that several judges read."""
    splits: dict[str, list[Board]] = {}
    for board in whole(boards):
        splits.setdefault(board.title, []).append(board)
    for title, members in splits.items():
        made = sorted(_swapped(members), key=attrgetter("order"))
        if made:
            yield _draft(title, made)


def _swapped(boards: Sequence[Board]) -> Iterator[Swapped]:
    """The models that several judges read, alike in all but the judge."""
    found: dict[tuple[Key, Key], list[Row]] = {}
    for row in (row for board in boards for row in board.rows):
        found.setdefault((identity(row), _but_the_judge(row)), []).append(row)
    for rows in found.values():
        given = {row.judge: number for row in rows if row.judge.id and (number := reading(row.main)) is not None}
        first = next((row for row in rows if row.primary), rows[0])
        if len(given) > 1 and len({(each.label, each.unit, each.better) for each in given.values()}) == 1:
            yield Swapped(row=first, by=given)


def _but_the_judge(row: Row) -> Key:
    return tuple(f"{name} {value}" for name, value in sorted(row.basis.items()) if name != "judge")


def _draft(title: str, made: Sequence[Swapped]) -> Draft:
    drawn = made[:MOST]
    rows = [each.row for each in drawn]
    judges = list(dict.fromkeys(judge for each in drawn for judge in each.by))
    widest = max(high - low for low, high in (each.ends for each in drawn))
    first = next(iter(drawn[0].by.values()))
    return Draft(
        name=slug("judges", title),
        title=f"{shown(first.label)} on {shown(title, 60)} under {told.count(len(judges), 'judge')}",
        told=told.sentence(
            f"{arrow(first)} of {told.count(len(drawn), 'model')} on {shown(title, 60)} as each of "
            f"{told.count(len(judges), 'judge')} reads the same answers, {told.direction(first.better)}",
            told.samples(rows),
            f"a bar leads from the least to the greatest number, at most {figure(widest, first.unit)} apart",
            told.unranked(rows, "with a remark at the right"),
            told.more(len(drawn), len(made)),
        ),
        chart=_chart(title, drawn, judges, first),
        table=_table(drawn, judges, first),
    )


def _chart(title: str, made: Sequence[Swapped], judges: Sequence[JudgeNote], first: Reading) -> Spec:
    names = apart(each.row.model for each in made)
    ends = scale(found for each in made for found in each.by.values())
    data = [
        {"name": name, "low": low, "high": high, "text": _remark(each, first), "ink": LIGHT.quiet}
        for name, each in zip(names, made, strict=True)
        for low, high in [each.ends]
    ]
    x = axis("low", f"{arrow(first)} on {shown(title, 60)}", ends)
    bar = {"type": "bar", "height": 7, "color": LIGHT.line}
    return layer(
        plot(data, bar, x=x, x2={"field": "high"}, y=lines(names, grid=True)),
        _marks(names, made, judges),
        *at_the_right(data, names, _WIDTH),
        width=_WIDTH,
        height=step(STEP),
    )


def _marks(names: Sequence[str], made: Sequence[Swapped], judges: Sequence[JudgeNote]) -> Spec:
    """A mark for each judge; beyond the fifth they look alike."""
    labels = dict(zip(judges, _labels(judges), strict=True))
    data = [
        {"name": name, "judge": labels[judge], "value": found.value}
        for name, each in zip(names, made, strict=True)
        for judge, found in each.by.items()
    ]
    looks: dict[str, tuple[Sequence[str | int], str | int]] = {
        "fill": (LIGHT.series, LIGHT.faint),
        "shape": (_SHAPES, "circle"),
        "size": (_SIZES, _SIZES[-1]),
    }
    channels = {
        channel: word(
            "judge",
            scale={"domain": list(labels.values()), "range": _stretched(first, other, len(judges))},
            legend={"title": None, "orient": "top", "columns": 1},
        )
        for channel, (first, other) in looks.items()
    }
    mark = {"type": "point", "opacity": 1, "stroke": LIGHT.ground, "strokeWidth": 0.7}
    return plot(data, mark, y=lines(names), x=number("value"), **channels)


def _labels(judges: Sequence[JudgeNote]) -> list[str]:
    return apart((judge.label for judge in judges), 60)


def _stretched(first: Sequence[str | int], other: str | int, length: int) -> list[str | int]:
    return [*first, *([other] * length)][:length]


def _remark(each: Swapped, first: Reading) -> str:
    low, high = each.ends
    remark = f"  {shown(each.row.unranked, 40)}" if each.row.unranked else ""
    return f"{figure(low, first.unit)} to {figure(high, first.unit)}{remark}"


def _table(made: Sequence[Swapped], judges: Sequence[JudgeNote], first: Reading) -> Table:
    head = ("Model", *_labels(judges), "Range")
    rows = (
        (
            full(each.row.model),
            *(each.by[judge].text if judge in each.by else "" for judge in judges),
            figure(each.ends[1] - each.ends[0], first.unit),
        )
        for each in made
    )
    return (head, *rows)
