"""The leaderboard as LaTeX tables: `harness report RUNS --format latex`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness import Report, Results, hookimpl

if TYPE_CHECKING:
    from harness.matrix import Matrix


def render(results: Sequence[Results]) -> str:
    r"""The leaderboard of these results as one file for `\input`, a booktabs table per board."""
    from harness.board.leaderboard import boards
    from harness.board.suites import means

    from .tables import render_tables

    return render_tables(boards(results), means(results))


def tabulate(table: Matrix) -> str:
    """The paper table as one booktabs table."""
    from .tables import render_matrix

    return render_matrix(table)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `latex`."""
    return (
        Report(name="latex", description="booktabs tables for a paper", render=render, suffix=".tex", matrix=tabulate),
    )
