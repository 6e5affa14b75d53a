"""Pieces of Vega-Lite specifications (marks, channels, layers), their themes, and the figure types.

A specification is a plain dict. Altair would build the same one, but copies and checks every part at each step: for
thirty charts that takes as long as drawing them.

There is a light and a dark theme, safe for the colour-blind (after Okabe and Ito). A chart is drawn once, in light
colours. In the page each colour is a variable that the page's theme sets, so every colour of a chart must be one of
`LIGHT`. A test simulates protanopia and deuteranopia to check contrasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from harness.board.rows import Row

from .readings import Reading, shorten

Spec = dict[str, Any]
Data = Sequence[Mapping[str, Any]]
Table = tuple[tuple[str, ...], ...]  #: the head, then the rows

WIDTH: Final = 420  #: px, of one panel
STEP: Final = 19  #: px between lines
FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
SMALL: Final = 10  #: px, of text at marks
PLAIN: Final = 11  #: px, of all other text
WIDE: Final = 5.6  #: px, average width of a SMALL character


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one theme, by use.

    Attributes:
        ground: behind everything.
        ink: titles and values.
        quiet: axes and remarks.
        line: grid and reference lines.
        faint: unranked rows.
        series: series compared side by side; the first is the usual colour of a mark.
        classes: the four classes of an answer and the block, in order.
        on_classes: text on each class.
        steps: low to high, of a heat map.
        on_low: text on the low steps.
        on_high: text on the high steps.
    """

    ground: str
    ink: str
    quiet: str
    line: str
    faint: str
    series: tuple[str, ...]
    classes: tuple[str, ...]
    on_classes: tuple[str, ...]
    steps: tuple[str, ...]
    on_low: str
    on_high: str

    @property
    def colours(self) -> tuple[str, ...]:
        """All colours, in a fixed order."""
        held = [getattr(self, each.name) for each in fields(self)]
        return tuple(colour for value in held for colour in ([value] if isinstance(value, str) else value))


LIGHT: Final = Theme(
    ground="#ffffff",
    ink="#16191d",
    quiet="#565e69",
    line="#dde1e6",
    faint="#8b929c",
    series=("#0072b2", "#d55e00", "#009e73", "#a64d86", "#3d434b"),
    classes=("#c8500a", "#0b66a8", "#7fc4ec", "#f0c040", "#5b616b"),
    on_classes=("#fffffd", "#fffffd", "#16191f", "#16191f", "#fffffd"),
    steps=("#f4f8fc", "#e1ecf6", "#cbdff0", "#abcde6", "#83b5da", "#5a9bcb", "#2c73ab", "#165c95", "#0a437a"),
    on_low="#16191e",
    on_high="#fffffe",
)
DARK: Final = Theme(
    ground="#14171b",
    ink="#e8eaed",
    quiet="#a4adb8",
    line="#343b44",
    faint="#747c87",
    series=("#56aee8", "#f07a30", "#2fc79a", "#e39ac8", "#eef0f3"),
    classes=("#ea641f", "#3f8fdb", "#a5d8f6", "#f4cf6a", "#8b939d"),
    on_classes=("#0d1013", "#0d1013", "#0d1015", "#0d1015", "#0d1013"),
    steps=("#1a2430", "#1d3044", "#213d59", "#254b6e", "#2a5983", "#306797", "#5f9dd1", "#8fbfe6", "#c4e0f7"),
    on_low="#e8eaee",
    on_high="#0d1014",
)
VARIABLES: Final[Mapping[str, str]] = {
    colour: f"--f{place}" for place, colour in enumerate(dict.fromkeys(LIGHT.colours))
}
HIGH: Final = 6  #: the first of the steps that takes `on_high`

CONFIG: Final[Mapping[str, Any]] = {
    "aria": False,
    "background": LIGHT.ground,
    "font": FONT,
    "padding": 10,
    "view": {"stroke": None},
    "title": {
        "anchor": "start",
        "frame": "group",
        "color": LIGHT.ink,
        "fontSize": PLAIN,
        "fontWeight": 600,
        "offset": 6,
    },
    "text": {"color": LIGHT.ink, "fontSize": SMALL},
    "axis": {
        "labelColor": LIGHT.ink,
        "labelFontSize": PLAIN,
        "labelLimit": 400,
        "titleColor": LIGHT.quiet,
        "titleFontSize": PLAIN,
        "titleFontWeight": "normal",
        "titleLimit": 620,
        "gridColor": LIGHT.line,
        "domainColor": LIGHT.faint,
        "tickColor": LIGHT.faint,
    },
    "axisQuantitative": {"labelColor": LIGHT.quiet, "labelFlush": False, "tickCount": 5},
    "header": {
        "labelColor": LIGHT.ink,
        "labelFontSize": PLAIN,
        "labelFontWeight": 600,
        "labelLimit": 300,
        "labelAnchor": "start",
        "titleColor": LIGHT.quiet,
    },
    "legend": {
        "labelColor": LIGHT.ink,
        "labelFontSize": PLAIN,
        "labelLimit": 520,
        "titleColor": LIGHT.quiet,
    },
}


def declare_variables(theme: Theme) -> str:
    """The theme's colour variables as CSS declarations."""
    pairs = dict(zip(LIGHT.colours, theme.colours, strict=True))
    return " ".join(f"{VARIABLES[light]}: {colour};" for light, colour in pairs.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One drawn figure.

    Attributes:
        name: its slug: letters, digits and hyphens; unique on the page.
        title: a short title.
        caption: its content, its sample sizes, and how to read its marks.
        svg: on a light ground; no style, script, link or id inside.
        page_svg: the same with the variables of `declare_variables` as colours.
        table: the drawn numbers as text, for screen readers.
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
    """One mark per row; the channels are x, y, text, color, …"""
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
    """A channel of colours from the rows."""
    return word(field, scale=None, legend=None)


def name_axis(names: Sequence[str], *, shown: bool = True, grid: bool = False) -> Spec:
    """The channel of names, a line for each, top to bottom; `shown` writes them at the left."""
    drawn = {"ticks": False, "domain": False, "labels": shown, "labelPadding": 8, "grid": grid}
    return word("name", title=None, scale={"domain": list(names)}, axis=drawn)


def layer(*parts: Spec, width: int, step: int, **more: Any) -> Spec:
    """Layered marks on the same axes; each line of names is `step` pixels high."""
    return {"layer": list(parts), "width": width, "height": {"step": step}, **more}


def colour_dot(*, ranked: bool) -> dict[str, str]:
    """The colours of a dot: hollow and grey if unranked."""
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
        data: rows of `make_dot`.
        names: the lines, top to bottom, also those without a dot.
        title: title of the axis.
        ends: ends of the axis.
        shown: whether to write the names at the left.
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
    """Why a row has no rank; empty if it has one."""
    return shorten(row.unranked, 40) if row.unranked else ""
