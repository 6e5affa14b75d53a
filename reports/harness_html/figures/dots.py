"""Dots with intervals on named lines: what a forest, the splits and the judges are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .plots import Data, Spec, axis, number, own, plot, word
from .theme import SMALL

STEP: Final = 19  #: px from line to line


def whiskers(
    data: Data, names: Sequence[str], title: str | None, scale: tuple[float, float], *, named: bool = True
) -> tuple[Spec, ...]:
    """A line from `low` to `high` and a dot at `value` for each `name`, in its own `colour` and `fill`.

    Args:
        data: one for each dot.
        names: the lines, top to bottom, also those without a dot.
        title: of the axis.
        scale: its ends.
        named: whether the names stand at the left.
    """
    line, dot = {"type": "rule", "strokeWidth": 1.5}, {"type": "point", "size": 46, "strokeWidth": 1.5, "opacity": 1}
    y = lines(names, named=named, grid=True)
    return (
        plot(data, line, y=y, x=axis("low", title, scale), x2={"field": "high"}, color=own("colour")),
        plot(data, dot, y=y, x=number("value"), stroke=own("colour"), fill=own("fill")),
    )


def lines(names: Sequence[str], *, named: bool = True, grid: bool = False) -> Spec:
    """The axis of names, top to bottom, without a title."""
    drawn = {"ticks": False, "domain": False, "labels": named, "labelPadding": 8, "grid": grid}
    return word("name", title=None, scale={"domain": list(names)}, axis=drawn)


def at_the_right(data: Data, names: Sequence[str], width: int) -> tuple[Spec, ...]:
    """The `text` of each name in its `ink`, right of the drawing; nothing for no data."""
    mark: Spec = {"type": "text", "align": "left", "fontSize": SMALL}
    drawn = plot(data, mark, y=lines(names), x={"value": width + 10}, text=word("text"), color=own("ink"))
    return (drawn,) if data else ()
