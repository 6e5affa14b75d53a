"""Colours, fonts and sizes: one light and one dark theme, safe for the colour-blind (after Okabe and Ito).

A chart is drawn once, in light colours. In the page each of them is a variable that the page's theme sets, so every
colour of a chart must be one of `LIGHT`. A test simulates protanopia and deuteranopia on what must be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

FONT: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
SMALL: Final = 10  #: px, of text at marks
PLAIN: Final = 11  #: px, of all other text
WIDE: Final = 5.6  #: px, how wide a character of SMALL text is, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one theme, by what they are for.

    Attributes:
        ground: behind everything.
        ink: titles and values.
        quiet: axes and remarks.
        line: grid and reference lines.
        faint: what is not ranked.
        series: what is compared side by side; the first is the usual colour of a mark.
        classes: the four classes of an answer and the block, in their order.
        on_classes: text on each of them.
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
        """All of them, in a fixed order."""
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
    """The variables that the page's theme sets, as CSS declarations."""
    pairs = dict(zip(LIGHT.colours, theme.colours, strict=True))
    return " ".join(f"{VARIABLES[light]}: {colour};" for light, colour in pairs.items())
