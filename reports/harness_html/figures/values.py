"""What a figure is, before and after it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Table = tuple[tuple[str, ...], ...]  #: the head, then the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure, drawn.

    Attributes:
        name: its slug: letters, digits and hyphens; no other figure of the page has it.
        title: in a few words.
        told: what it shows, of how much, and how its marks are to be read, in one sentence made from the data.
        svg: on a light ground; no style, script, link or id inside.
        page_svg: the same with its colours as the variables that `theme.variables` declares.
        table: the drawn numbers as text, for those who do not see the figure.
    """

    name: str
    title: str
    told: str
    svg: str
    page_svg: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One figure, not yet drawn: its `chart` is a Vega-Lite specification in the colours of the light theme."""

    name: str
    title: str
    told: str
    chart: Mapping[str, Any]
    table: Table
