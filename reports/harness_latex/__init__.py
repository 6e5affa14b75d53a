"""The leaderboard as LaTeX tables: `harness report RUNS --format latex`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import Report, Results, hookimpl


def render(results: Sequence[Results]) -> str:
    r"""The leaderboard of these results as one file for `\input`, a booktabs table per board."""
    from harness.board.leaderboard import boards, means

    from .tables import render_tables

    return render_tables(boards(results), means(results))


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `latex`."""
    return (Report(name="latex", description="booktabs tables for a paper", render=render, suffix=".tex"),)
