"""The leaderboard as one self-contained page, its figures, and a folder for a Hugging Face Space.

harness report runs/* --format html --output leaderboard.html --figures figures
harness report runs/* --format space --output space
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness import Report, Results, SampleLinks, hookimpl

if TYPE_CHECKING:
    from harness.matrix import Matrix


def render(results: Sequence[Results]) -> str:
    """The page: HTML without external resources."""
    from .page import render_page

    return render_page(results)


def render_linked(results: Sequence[Results], links: SampleLinks) -> str:
    """The page beside a viewer of the same runs: each number leads to the samples behind it."""
    from .page import render_page

    return render_page(results, links)


def figure_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The page's figures as SVG and PNG files."""
    from .page import render_figures

    return render_figures(results)


def space_files(results: Sequence[Results]) -> Mapping[str, bytes]:
    """The files of a static Space that serves the page and its data."""
    from .page import render_space

    return render_space(results)


def tabulate(table: Matrix) -> str:
    """The paper table as a page of its own."""
    from .page import render_matrix

    return render_matrix(table)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `html` and `space`."""
    page = "one page with tables and figures, to publish as it is"
    return (
        Report(
            name="html",
            description=page,
            render=render,
            figures=figure_files,
            suffix=".html",
            matrix=tabulate,
            linked=render_linked,
        ),
        Report(name="space", description="a Hugging Face Space that serves the page", render=space_files, suffix=""),
    )
