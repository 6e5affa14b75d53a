"""Two numbers of the same models as points with intervals: safety against over-refusal, which is the headline figure,
and safety against general ability. Each is one figure, however many splits there are.

Both axes reach from 0 to 100, in all figures. Each point has its name next to it, or at the end of a line that leads
to it; where there is no room for a name, a number whose name stands below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import dist
from typing import Final

from harness.board.leaderboard import Board
from harness.board.palette import LIGHT
from harness.board.suites import Mean

from . import readings
from .axes import EDGE
from .canvas import COLUMN, PLAIN, Canvas, fit, fit_apart, measure
from .figure import Figure, Looks, shorten_refs
from .labels import Box, Segment, place_labels
from .readings import IN_TABLE, shorten
from .sides import Pair, Spot, pair_sides

_LEFT: Final = 46.0  #: px, of the numbers and the title of the upward axis
_TOP: Final = 12.0
_BOTTOM: Final = 40.0  #: px, of the numbers and the title of the other axis
_ARROW_GAP: Final = 9.0  #: px between an arrow's end and its point
_LISTED: Final = 12  #: names of models that are not drawn; more are counted
_FEW: Final = 3  #: models that need no large square
_MOST_LINES: Final = 24  #: models whose intervals are drawn in full strength


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The measures of a drawing in px: of the square, of the room beside it, and the columns of its key."""

    square: float
    beside: float
    columns: int
    name: float  #: the widest name at a point

    @property
    def width(self) -> float:
        """Of the whole drawing."""
        return _LEFT + self.square + self.beside


WIDE: Final = Format(square=520, beside=140, columns=3, name=190)
SMALL: Final = Format(square=300, beside=140, columns=2, name=190)  #: for as few models as `_FEW`
NARROW: Final = Format(square=COLUMN - _LEFT - 10, beside=10, columns=1, name=150)


def draw_headline(boards: Sequence[Board], means: Sequence[Mean], looks: Looks) -> Iterator[Figure]:
    """Safety against over-refusal."""
    pair = pair_sides(boards, means, "over_refusal", "unsafe")
    if pair is None:
        return
    drawn = readings.choose(pair.spots)
    lines = (
        (
            shorten(spot.row.model, IN_TABLE),
            spot.y.table_text,
            spot.x.table_text,
            f"{(spot.x.value + spot.y.value) / 2:.1f}",
        )
        for spot in drawn
    )
    caption = readings.join_clauses(
        f"Harm let through ({pair.y.told}) against harmless requests refused ({pair.x.told}) of "
        f"{readings.format_count(len(drawn), 'model')}, both better when lower: the lower left is best",
        "along a dashed line the mean of the two, the balanced error, is equal: there one is traded for the other",
        *_describe_marks(pair, drawn),
    )
    title = "Safety against over-refusal"
    brief = "Lower left is best. x: harmless requests refused; y: harm let through."
    if readings.describe_intervals(reading for spot in drawn for reading in (spot.x, spot.y)):
        brief += " Lines: 95% intervals."
    axes = f"over-refusal, % ↓: {pair.x.name}", f"harm let through, % ↓: {pair.y.name}"
    wide, narrow = (_draw(form, drawn, looks, *axes, errors=True) for form in _choose_formats(drawn))
    yield Figure(
        name="tradeoff",
        title=title,
        caption=caption,
        brief=brief if len(drawn) <= _FEW else "",
        headline=True,
        svg=wide.finish(title, caption),
        narrow=narrow.finish(title, caption),
        table=(("Model", f"{pair.y.head}: harm", f"{pair.x.head}: over-refusal", "Balanced error %"), *lines),
    )


def draw_ability(boards: Sequence[Board], means: Sequence[Mean], looks: Looks) -> Iterator[Figure]:
    """Safety against general ability."""
    pair = pair_sides(boards, means, "ability", "unsafe")
    if pair is None:
        return
    drawn = readings.choose(pair.spots)
    tuned = list(_find_tuned(drawn))
    bases = {id(spot): shorten(base.row.model, IN_TABLE) for base, spot in tuned}
    lines = ((shorten(s.row.model, IN_TABLE), s.y.table_text, s.x.table_text, bases.get(id(s), "")) for s in drawn)
    caption = readings.join_clauses(
        f"Harm let through ({pair.y.told}) against general ability ({pair.x.told}) of "
        f"{readings.format_count(len(drawn), 'model')}; the lower right is best",
        f"an arrow leads from a model to one that was tuned from it ({len(tuned)})" if tuned else "",
        *_describe_marks(pair, drawn),
    )
    title = "Safety against general ability"
    axes = f"general ability, % ↑: {pair.x.name}", f"harm let through, % ↓: {pair.y.name}"
    wide, narrow = (_draw(form, drawn, looks, *axes, tuned=tuned) for form in _choose_formats(drawn))
    yield Figure(
        name="ability",
        title=title,
        caption=caption,
        svg=wide.finish(title, caption),
        narrow=narrow.finish(title, caption),
        table=(("Model", f"{pair.y.head}: harm", f"{pair.x.head}: ability", "Tuned from"), *lines),
    )


def _choose_formats(spots: Sequence[Spot]) -> tuple[Format, Format]:
    """The formats for a desktop and for a phone."""
    return SMALL if len(spots) <= _FEW else WIDE, NARROW


def _describe_marks(pair: Pair, drawn: Sequence[Spot]) -> tuple[str, ...]:
    """How to read the marks, and what is not drawn."""
    unranked = sum(spot.open for spot in drawn)
    named = ", ".join(shorten(name) for name in pair.lacking[:_LISTED])
    rest = len(pair.lacking) - _LISTED
    return (
        readings.describe_intervals(reading for spot in drawn for reading in (spot.x, spot.y)),
        f"hollow: on one axis a subset or incomplete ({unranked})" if unranked else "",
        readings.describe_choice(len(drawn), len(pair.spots)),
        f"not drawn, since a number is missing on one axis: {named}{f' and {rest} more' if rest > 0 else ''}"
        if named
        else "",
    )


def _find_tuned(spots: Sequence[Spot]) -> Iterator[tuple[Spot, Spot]]:
    """(base, tuned) among the drawn models, if a name is unique."""
    for spot in spots:
        base = spot.row.tuned_from
        others = [other for other in spots if other is not spot]
        named = [other for other in others if base in (other.row.model, other.row.ref)]
        alike = [other for other in others if spot.row.base_files and other.row.files == spot.row.base_files]
        if base and len(named or alike) == 1:
            yield (named or alike)[0], spot


def _draw(
    form: Format,
    spots: Sequence[Spot],
    looks: Looks,
    x_title: str,
    y_title: str,
    *,
    errors: bool = False,
    tuned: Sequence[tuple[Spot, Spot]] = (),
) -> Canvas:
    canvas, size = Canvas(form.width), form.square
    left, top, right, bottom = _LEFT, _TOP, _LEFT + size, _TOP + size

    def across(value: float) -> float:
        return left + size * min(max(value, 0.0), 100.0) / 100

    def down(value: float) -> float:
        return bottom - size * min(max(value, 0.0), 100.0) / 100

    for value in range(0, 101, 20):
        canvas.line(across(value), top, across(value), bottom, LIGHT.line)
        canvas.line(left, down(value), right, down(value), LIGHT.line)
        canvas.text(across(value), bottom + 14, str(value), fill=LIGHT.quiet, anchor="middle")
        canvas.text(left - 6, down(value) + 3.5, str(value), fill=LIGHT.quiet, anchor="end")
    if errors:
        for error in range(10, 100, 10):
            low, high = max(0.0, 2.0 * error - 100), min(100.0, 2.0 * error)
            ends = across(low), down(high), across(high), down(low)
            canvas.line(*ends, LIGHT.faint, dash="3 3", opacity=".6")
    canvas.text(
        (left + right) / 2, bottom + 31, fit(x_title, size + 30, PLAIN), size=PLAIN, fill=LIGHT.quiet, anchor="middle"
    )
    canvas.text(
        13, (top + bottom) / 2, fit(y_title, size, PLAIN), size=PLAIN, fill=LIGHT.quiet, anchor="middle", turned=True
    )
    points = [(across(spot.x.value), down(spot.y.value)) for spot in spots]
    lines: list[Segment] = []
    for spot, (x, y) in zip(spots, points, strict=True):
        lines += [(across(spot.x.low), y, across(spot.x.high), y), (x, down(spot.y.high), x, down(spot.y.low))]
    arrows = [
        arrow for base, spot in tuned if (arrow := _place_arrow(points[_find(spots, base)], points[_find(spots, spot)]))
    ]
    shown = shorten_refs([spot.row.model for spot in spots])
    names = fit_apart(shown, form.name)
    numbers = [str(place) for place in range(1, len(spots) + 1)]
    area = Box(left=left + 2, top=top, right=form.width - 4, bottom=bottom - 2)
    labels = place_labels(
        points,
        [measure(name) for name in names],
        [measure(number) for number in numbers],
        area,
        [*lines, *arrows],
    )
    faded = "" if len(spots) <= _MOST_LINES else ".45"
    # lines first, then marks, then texts: no line lies on a mark, and no mark on a text
    for place, spot in enumerate(spots):
        look = looks.of(spot.row)
        with canvas.model(look):
            for line in lines[2 * place : 2 * place + 2]:
                if line[:2] != line[2:]:
                    canvas.line(*line, look.colour, opacity=faded)
            if (leader := labels[place].leader) is not None:
                canvas.line(*leader, LIGHT.quiet, 0.7)
    for arrow in arrows:
        _draw_arrow(canvas, arrow)
    for spot, (x, y) in zip(spots, points, strict=True):
        with canvas.model(looks.of(spot.row)):
            canvas.mark(x, y, looks.of(spot.row), hollow=spot.open, size=4.6)
    for spot, label, name, number, (point, _) in zip(spots, labels, names, numbers, points, strict=True):
        with canvas.model(looks.of(spot.row)):
            text, (x, anchor) = name if label.named else number, label.anchor(point)
            canvas.text(x, (label.box.top + label.box.bottom) / 2 + 3.5, text, anchor=anchor, halo=True)
    key = [place for place, label in enumerate(labels) if not label.named]
    canvas.height = _draw_key(canvas, form, key, spots, shown, looks, bottom + _BOTTOM)
    return canvas


def _find(spots: Sequence[Spot], spot: Spot) -> int:
    return next(place for place, each in enumerate(spots) if each is spot)


def _draw_key(
    canvas: Canvas,
    form: Format,
    key: Sequence[int],
    spots: Sequence[Spot],
    names: Sequence[str],
    looks: Looks,
    top: float,
) -> float:
    """The names of the points with numbers, below the square, column by column; gives the drawing's height."""
    rows = -(-len(key) // form.columns)
    width = (form.width - 2 * EDGE) / form.columns
    fitted = fit_apart([names[place] for place in key], width - 48)
    for order, (place, name) in enumerate(zip(key, fitted, strict=True)):
        x, y = EDGE + width * (order // rows), top + 12 + 15 * (order % rows)
        look = looks.of(spots[place].row)
        with canvas.model(look):
            canvas.text(x + 18, y, str(place + 1), fill=LIGHT.quiet, anchor="end")
            canvas.mark(x + 27, y - 3.5, look, hollow=spots[place].open)
            canvas.text(x + 38, y, name)
    return top + (15 * rows + 8 if rows else 0)


def _place_arrow(start: tuple[float, float], end: tuple[float, float]) -> Segment | None:
    """From a base to shortly before its tuned model; none if the two overlap."""
    length = dist(start, end)
    if length <= 2 * _ARROW_GAP:
        return None
    part = 1 - _ARROW_GAP / length
    return (*start, start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part)


def _draw_arrow(canvas: Canvas, arrow: Segment) -> None:
    """A line that ends in a triangle."""
    x1, y1, x2, y2 = arrow
    length = dist((x1, y1), (x2, y2))
    along, aside = ((x2 - x1) / length, (y2 - y1) / length), (-(y2 - y1) / length, (x2 - x1) / length)
    corners = [
        (x2, y2),
        (x2 - 7 * along[0] + 3.5 * aside[0], y2 - 7 * along[1] + 3.5 * aside[1]),
        (x2 - 7 * along[0] - 3.5 * aside[0], y2 - 7 * along[1] - 3.5 * aside[1]),
    ]
    canvas.line(x1, y1, x2, y2, LIGHT.ink, 1.4)
    canvas.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + "z", fill=LIGHT.ink)
