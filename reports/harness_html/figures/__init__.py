"""The figures of a leaderboard, drawn from its boards: in the page, and as SVG and PNG files.

A figure is made only where the data fills it. They are written in Vega-Lite and drawn by vl-convert, which is imported
when it draws: see `plots` and `drawing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.board.means import Mean
from harness.board.values import Board

from .names import unique
from .values import Draft, Figure

__all__ = ["Draft", "Figure", "draft_figures", "figures", "files"]


def figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> tuple[Figure, ...]:
    """All figures that the data supports, in the order of a page.

    Args:
        boards: all of a leaderboard.
        means: over suites, for safety against general ability.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    from .drawing import figure

    drafts = list(draft_figures(boards, means))
    slugs = unique(draft.name for draft in drafts)
    return tuple(figure(replace(draft, name=name)) for draft, name in zip(drafts, slugs, strict=True))


def files(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Mapping[str, bytes]:
    """`<slug>.svg` and `<slug>.png` of each figure, light, the PNG at twice the size.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    made = figures(boards, means)
    from .drawing import png

    svg = {f"{each.name}.svg": each.svg.encode() for each in made}
    return svg | {f"{each.name}.png": png(each.svg) for each in made}


def draft_figures(boards: Sequence[Board], means: Sequence[Mean]) -> Iterator[Draft]:
    """All figures that the data supports, not drawn yet and not named apart."""
    from . import ability, categories, classes, forest, judges, splits, tradeoff

    yield from forest.drafts(boards)
    yield from splits.drafts(boards)
    yield from tradeoff.drafts(boards)
    yield from ability.drafts(boards, means)
    yield from classes.drafts(boards)
    yield from categories.drafts(boards)
    yield from judges.drafts(boards)
