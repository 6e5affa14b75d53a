"""Safety against over-refusal, with lines along which one is traded for the other at an equal balanced error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.board.values import Board

from . import told
from .entries import arrow
from .labels import Placed
from .names import full, slug
from .pairs import MOST_PAIRS, Pair, chosen, pairs, sides
from .plots import Spec, plot
from .scatter import SIZE, Plane, ends, halo, read_as, scatter, texts
from .theme import LIGHT
from .values import Draft, Table


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """A scatter for each pair of a safety board and an over-refusal board that share models, at most `MOST_PAIRS`."""
    found = pairs(sides(boards, "over_refusal"), sides(boards, "unsafe"))
    for place, pair in enumerate(chosen(found), start=1):
        yield _draft(pair, told.rest(place, MOST_PAIRS, len(found), "pair"))


def _draft(pair: Pair, rest: str) -> Draft:
    plane = _plane(pair)
    return Draft(
        name=slug("tradeoff", pair.y.name, pair.x.name),
        title=f"Safety against over-refusal: {pair.y.name} and {pair.x.name}",
        told=told.sentence(
            f"Harm let through ({pair.y.title}, {pair.y.size}) against harmless requests refused ({pair.x.title}, "
            f"{pair.x.size}) of {told.count(len(pair.spots), 'model')}, both better when lower",
            "along a dashed line the mean of the two, the balanced error, is equal: there one is traded for the other",
            *read_as(pair),
            rest,
        ),
        chart=scatter(plane, pair.spots, under=list(_iso(plane))),
        table=_table(pair),
    )


def _plane(pair: Pair) -> Plane:
    """Both axes have the same ends, so that the lines of equal error fall at 45 degrees."""
    both = ends([reading for spot in pair.spots for reading in (spot.x, spot.y)], zero=True)
    return Plane(
        x_title=f"over-refusal: {pair.x.title}",
        y_title=f"harm let through: {pair.y.title}",
        x_ends=both,
        y_ends=both,
    )


def _iso(plane: Plane) -> Iterator[Spec]:
    """Dashed lines x + y = 2 * error, each with its error at its lower end."""
    _, most = plane.x_ends
    step = 5 if most <= 50 else 10
    errors = range(step, int(most), step)
    ends = [(error, max(0.0, 2.0 * error - most), min(most, 2.0 * error)) for error in errors]
    data = [{"x": x, "y": 2 * error - x, "x2": x2, "y2": 2 * error - x2} for error, x, x2 in ends]
    dashed = {"type": "rule", "strokeWidth": 1, "strokeDash": [3, 3], "color": LIGHT.faint}
    yield plot(data, dashed, x=plane.x("x"), y=plane.y("y"), x2={"field": "x2"}, y2={"field": "y2"})
    placed = [*(_at_the_end(plane, error, most) for error in errors), _legend()]
    yield halo(plane, placed)
    yield texts(plane, placed, LIGHT.quiet)


def _at_the_end(plane: Plane, error: int, most: float) -> Placed:
    across, down = plane.at(min(most, 2.0 * error), max(0.0, 2.0 * error - most))
    inside = across < SIZE
    return Placed(text=str(error), x=across - 10 if inside else across + 4, y=down - 8 if inside else down)


def _legend() -> Placed:
    text = "dashed: equal balanced error, %"
    return Placed(text=text, x=SIZE - 5.2 * len(text), y=-10)


def _table(pair: Pair) -> Table:
    head = ("Model", arrow(pair.y.first), arrow(pair.x.first), "Balanced error %")
    rows = (
        (full(spot.row.model), spot.y.text, spot.x.text, f"{(spot.x.value + spot.y.value) / 2:.1f}")
        for spot in pair.spots
    )
    return (head, *rows)
