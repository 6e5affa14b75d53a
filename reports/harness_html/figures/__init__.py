"""The figures of a leaderboard, drawn from its boards: in the page, and as SVG and PNG files.

A figure is made only if there are data for it. No model leaves one silently: all are drawn up to a hundred, and beyond
that the caption says which rule chose. One model has one mark in all figures of a page. Figures are written as SVG by
this package itself; a PNG needs vl-convert, which is imported on use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from harness.board.leaderboard import Board
from harness.board.suites import Mean

from .categories import draw_categories, draw_classes
from .figure import Figure, Looks, name_uniquely
from .forest import draw_forests, draw_judges, draw_splits
from .scatter import draw_ability, draw_headline

__all__ = ["Figure", "Looks", "draw_figures", "write_figures"]


def draw_figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> tuple[Figure, ...]:
    """All figures that the data supports, with unique names, the headline figure first.

    Args:
        boards: all boards of a leaderboard.
        means: means over suites, which stand for a group of splits where there are any.
    """
    looks = Looks(boards)
    drawn = chain(
        draw_headline(boards, means, looks),
        draw_ability(boards, means, looks),
        draw_forests(boards, looks),
        draw_splits(boards, looks),
        draw_classes(boards, looks),
        draw_categories(boards, looks),
        draw_judges(boards, looks),
    )
    return name_uniquely(drawn)


def write_figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Mapping[str, bytes]:
    """`<slug>.svg` and `<slug>.png` of each figure, in light colours, the PNG at twice the size.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    from .render import load_renderer, to_png

    load_renderer()  # so that it is reported missing even without figures
    figures = draw_figures(boards, means)
    files = {f"{figure.name}.svg": figure.svg.encode() for figure in figures}
    return files | {f"{figure.name}.png": to_png(figure.svg) for figure in figures}
