"""Pieces of Vega-Lite specifications: marks over rows of our own, their channels, layers and panels.

They are plain dicts. Altair would build the same ones, but copies and checks every part at each step: for thirty charts
that takes as long as drawing them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Spec = dict[str, Any]
Data = Sequence[Mapping[str, Any]]


def plot(data: Data, mark: Spec, **channels: Spec) -> Spec:
    """One mark for each row: `channels` are x, y, text, color, …"""
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


def own(field: str) -> Spec:
    """A channel of colours that the rows hold themselves."""
    return word(field, scale=None, legend=None)


def layer(*parts: Spec, width: int, height: int | Spec, **more: Any) -> Spec:
    """Marks on each other, on the same axes."""
    return {"layer": list(parts), "width": width, "height": height, **more}


def step(size: int) -> Spec:
    """A height of `size` pixels for each line."""
    return {"step": size}
