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
        light_svg: on a light ground; no style, script, link or id inside.
        dark_svg: the same on a dark ground.
        table: the drawn numbers as text, for those who do not see the figure.
    """

    name: str
    title: str
    told: str
    light_svg: str
    dark_svg: str
    table: Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One figure, not yet drawn: its `chart` is a Vega-Lite specification in the colours of the light theme."""

    name: str
    title: str
    told: str
    chart: Mapping[str, Any]
    table: Table
