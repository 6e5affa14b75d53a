"""Every number as one line of CSV: `harness report RUNS --format csv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import Report, Results, hookimpl


def render(results: Sequence[Results]) -> str:
    """The leaderboard of these results as CSV, one line per metric of each row, group and stratum, and the means."""
    from harness.board.leaderboard import boards
    from harness.board.means import means

    from .lines import document

    return document(boards(results), means(results))


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `csv`."""
    return (Report(name="csv", description="one line per number, for a spreadsheet", render=render, suffix=".csv"),)
