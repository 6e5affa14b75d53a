"""The figures of a leaderboard, drawn from its boards: in the page, and as SVG and PNG files.

A figure is made only if there are data for it. Figures are Vega-Lite, drawn by vl-convert, which is imported on use:
see `charts` and `render`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from harness.board.leaderboard import Board, Mean

from .categories import draft_categories, draft_classes
from .charts import Draft, Figure
from .forest import draft_forests, draft_judges, draft_splits
from .scatter import draft_abilities, draft_tradeoffs

__all__ = ["Draft", "Figure", "draft_figures", "draw_figures", "write_figures"]


def draft_figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Iterator[Draft]:
    """All figures that the data supports, undrawn, in page order.

    Args:
        boards: all boards of a leaderboard.
        means: means over suites, for safety against general ability.
    """
    yield from draft_forests(boards)
    yield from draft_splits(boards)
    yield from draft_tradeoffs(boards)
    yield from draft_abilities(boards, means)
    yield from draft_classes(boards)
    yield from draft_categories(boards)
    yield from draft_judges(boards)


def draw_figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> tuple[Figure, ...]:
    """The figures of `draft_figures`, drawn, with unique names.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    from .render import draw, load_renderer

    load_renderer()  # so that it is reported missing even without figures
    drawn: dict[str, Figure] = {}
    for draft in draft_figures(boards, means):
        number, name = 1, draft.name
        while name in drawn:
            number += 1
            name = f"{draft.name}-{number}"
        drawn[name] = draw(replace(draft, name=name))
    return tuple(drawn.values())


def write_figures(boards: Sequence[Board], means: Sequence[Mean] = ()) -> Mapping[str, bytes]:
    """`<slug>.svg` and `<slug>.png` of each figure, in light colours, the PNG at twice the size.

    Raises:
        HarnessError: vl-convert is not installed.
    """
    from .render import to_png

    figures = draw_figures(boards, means)
    files = {f"{figure.name}.svg": figure.svg.encode() for figure in figures}
    return files | {f"{figure.name}.png": to_png(figure.svg) for figure in figures}
