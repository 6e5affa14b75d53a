"""The leaderboard as Markdown tables: `harness report RUNS --format markdown`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness import Report, Results, hookimpl

if TYPE_CHECKING:
    from harness.matrix import Matrix


def render(results: Sequence[Results]) -> str:
    """The leaderboard of these results as GitHub Markdown."""
    from harness.board.costs import list_costs
    from harness.board.leaderboard import boards
    from harness.board.suites import group_boards, means

    from .tables import render_tables

    return render_tables(group_boards(boards(results), results), means(results), list_costs(results))


def tabulate(table: Matrix) -> str:
    """The paper table as one Markdown table."""
    from .tables import render_matrix

    return render_matrix(table)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `markdown`."""
    return (
        Report(
            name="markdown", description="leaderboard tables for a README", render=render, suffix=".md", matrix=tabulate
        ),
    )
