"""Pieces of Vega-Lite specifications: marks over rows of our own, their channels and layers; and what a figure is.

A specification is a plain dict. Altair would build the same one, but copies and checks every part at each step: for
thirty charts that takes as long as drawing them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.board.rows import Row

from .captions import shorten
from .readings import Reading
from .theme import LIGHT, SMALL

Spec = dict[str, Any]
Data = Sequence[Mapping[str, Any]]
Table = tuple[tuple[str, ...], ...]  #: the head, then the rows

WIDTH: Final = 420  #: px, of one panel
STEP: Final = 19  #: px from line to line


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, drawn.

    Attributes:
        name: its slug: letters, digits and hyphens; no other figure of the page has it.
        title: in a few words.
        caption: what it shows, of how much, and how its marks are to be read.
        svg: on a light ground; no style, script, link or id inside.
        page_svg: the same with its colours as the variables that `theme.declare_variables` declares.
        table: the drawn numbers as text, for those who do not see the figure.
    """

    name: str
    title: str
    caption: str
    svg: str
    page_svg: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One figure, not yet drawn: its `chart` is a Vega-Lite specification in the colours of the light theme."""

    name: str
    title: str
    caption: str
    chart: Mapping[str, Any]
    table: Table


def plot(data: Data, mark: Spec, **channels: Spec) -> Spec:
    """One mark for each row; the channels are x, y, text, color, …"""
    return {"data": {"values": list(data)}, "mark": mark, "encoding": channels}


def number(field: str, **more: Any) -> Spec:
    """A channel of numbers."""
    return {"field": field, "type": "quantitative", **more}


def axis(field: str, title: str | None, ends: tuple[float, float], **more: Any) -> Spec:
    """A channel of numbers with the ends and the title of its axis."""
    return number(field, title=title, scale={"domain": list(ends), "nice": False}, **more)


def word(field: str, **more: Any) -> Spec:
    """A channel of words."""
    return {"field": field, "type": "nominal", **more}


def own_colour(field: str) -> Spec:
    """A channel of colours that the rows hold themselves."""
    return word(field, scale=None, legend=None)


def name_axis(names: Sequence[str], *, shown: bool = True, grid: bool = False) -> Spec:
    """The channel of names, a line for each, top to bottom; `shown` writes them at the left."""
    drawn = {"ticks": False, "domain": False, "labels": shown, "labelPadding": 8, "grid": grid}
    return word("name", title=None, scale={"domain": list(names)}, axis=drawn)


def layer(*parts: Spec, width: int, step: int, **more: Any) -> Spec:
    """Marks on each other, on the same axes; each line of names is `step` pixels high."""
    return {"layer": list(parts), "width": width, "height": {"step": step}, **more}


def colour_dot(*, ranked: bool) -> dict[str, str]:
    """The colours of a dot: hollow and grey where it has no rank."""
    return (
        {"colour": LIGHT.series[0], "fill": LIGHT.series[0]}
        if ranked
        else {"colour": LIGHT.faint, "fill": LIGHT.ground}
    )


def make_dot(name: str, reading: Reading, row: Row) -> dict[str, Any]:
    """The data of one dot with its interval."""
    ends = {"low": reading.low, "high": reading.high, "value": reading.value}
    return {"name": name, **ends, **colour_dot(ranked=not row.unranked)}


def draw_dots(
    data: Data, names: Sequence[str], title: str | None, ends: tuple[float, float], *, shown: bool = True
) -> tuple[Spec, ...]:
    """A line from `low` to `high` and a dot at `value`, in its own `colour` and `fill`, for each row of data.

    Args:
        data: of `make_dot`.
        names: the lines, top to bottom, also those without a dot.
        title: of the axis.
        ends: of the axis.
        shown: whether the names are written at the left.
    """
    line, dot = {"type": "rule", "strokeWidth": 1.5}, {"type": "point", "size": 46, "strokeWidth": 1.5, "opacity": 1}
    y = name_axis(names, shown=shown, grid=True)
    return (
        plot(data, line, y=y, x=axis("low", title, ends), x2={"field": "high"}, color=own_colour("colour")),
        plot(data, dot, y=y, x=number("value"), stroke=own_colour("colour"), fill=own_colour("fill")),
    )


def write_at_right(data: Data, names: Sequence[str], width: int) -> tuple[Spec, ...]:
    """The `text` of each row of data in its `ink`, right of the drawing; nothing for no data."""
    mark: Spec = {"type": "text", "align": "left", "fontSize": SMALL}
    written = plot(data, mark, y=name_axis(names), x={"value": width + 10}, text=word("text"), color=own_colour("ink"))
    return (written,) if data else ()


def write_remarks(rows: Sequence[Row], names: Sequence[str], width: int) -> tuple[Spec, ...]:
    """Why rows have no rank, right of the drawing."""
    given = zip(names, rows, strict=True)
    data = [{"name": name, "text": format_remark(row), "ink": LIGHT.quiet} for name, row in given if row.unranked]
    return write_at_right(data, names, width)


def format_remark(row: Row) -> str:
    """Why a row has no rank; empty where it has one."""
    return shorten(row.unranked, 40) if row.unranked else ""
