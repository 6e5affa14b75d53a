"""The colours of all reports, in two themes: those of figures and tables, by what they mean.

Colour says good or bad, never high or low: the steps lead from good (pale blue) over grey to bad (deep orange). Their
lightness goes one way, so that they can be told apart in grey print too, and the colour-blind tell blue from orange.
Marks of models differ in shape as well as in colour. Tests simulate protanopia and deuteranopia, and check the contrast
of text and marks in both themes.

A drawing is made in light colours. On a page each colour is a CSS variable that the page's theme sets, so each light
colour stands for one use and no other: near twins such as `#fffffd` and `#ffffff` are two uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """The colours of one theme, by use.

    Attributes:
        ground: behind everything.
        ink: titles and values.
        quiet: axes and remarks.
        line: grid and reference lines.
        faint: frames, and marks that stand back.
        people: what people's labels say.
        series: of models, each with a shape; together they tell a hundred models apart.
        classes: the four classes of an answer and the block, in order.
        on_classes: text on each class.
        steps: good to bad, of a heat map.
        on_good: text on the steps before `BAD`.
        on_bad: text on the others.
    """

    ground: str
    ink: str
    quiet: str
    line: str
    faint: str
    people: str
    series: tuple[str, ...]
    classes: tuple[str, ...]
    on_classes: tuple[str, ...]
    steps: tuple[str, ...]
    on_good: str
    on_bad: str

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
    people="#b24a00",
    series=("#4085ee", "#e47513", "#321880", "#1d98b4", "#631d07", "#9b876c", "#2a2b3f"),
    classes=("#b3400a", "#4f9fd6", "#bfe0f5", "#e8a33d", "#4d535c"),
    on_classes=("#fffffd", "#16191f", "#16191f", "#16191f", "#fffffd"),
    steps=("#d3ebff", "#bbe2ff", "#bbd5ea", "#b9c5cf", "#b6b6b6", "#bd998a", "#a46549", "#9d4821", "#8a2b00"),
    on_good="#16191e",
    on_bad="#fffffe",
)
DARK: Final = Theme(
    ground="#14171b",
    ink="#e8eaed",
    quiet="#a4adb8",
    line="#343b44",
    faint="#747c87",
    people="#f07a30",
    series=("#396df4", "#f7cc94", "#c7a6fb", "#137785", "#ea8119", "#796d43", "#eef0f3"),
    classes=("#ea641f", "#3f8fdb", "#a5d8f6", "#f4cf6a", "#8b939d"),
    on_classes=("#0d1013", "#0d1015", "#0d1015", "#0d1015", "#0d1013"),
    steps=("#002f4a", "#003b5a", "#29455c", "#434f5b", "#595959", "#796151", "#b88664", "#e29863", "#feaf78"),
    on_good="#e8eaee",
    on_bad="#0d1014",
)
BAD: Final = 6  #: the first of the steps that takes `on_bad`
VARIABLES: Final[Mapping[str, str]] = {
    colour: f"--f{place}" for place, colour in enumerate(dict.fromkeys(LIGHT.colours))
}


def declare_variables(theme: Theme) -> str:
    """The theme's colour variables as CSS declarations."""
    pairs = dict(zip(LIGHT.colours, theme.colours, strict=True))
    return " ".join(f"{VARIABLES[light]}: {colour};" for light, colour in pairs.items())


def choose_step(value: float, ends: tuple[float, float], better: str) -> int | None:
    """The place in `steps` of a value: 0 is best; None where neither direction is better.

    Args:
        value: of a metric.
        ends: of its scale, low and high.
        better: its direction.
    """
    low, high = ends
    if better not in ("lower", "higher") or high <= low:
        return None
    part = (value - low) / (high - low)
    bad = part if better == "lower" else 1 - part
    return max(0, min(len(LIGHT.steps) - 1, int(bad * len(LIGHT.steps))))
