"""Every number as one line of CSV: `harness report RUNS --format csv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness import Report, Results, hookimpl

if TYPE_CHECKING:
    from harness.matrix import Matrix


def render(results: Sequence[Results]) -> str:
    """One line per metric of each row, group and stratum, then the means; no text can act as a formula."""
    from harness.board.leaderboard import boards
    from harness.board.sheet import COLUMNS, list_lines, render_csv
    from harness.board.suites import means

    return render_csv(COLUMNS, list_lines(boards(results), means(results)))


def tabulate(table: Matrix) -> str:
    """The paper table with a line for each cell."""
    from .matrix import render_matrix

    return render_matrix(table)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `csv`."""
    return (
        Report(
            name="csv",
            description="one line per number, for a spreadsheet",
            render=render,
            suffix=".csv",
            matrix=tabulate,
        ),
    )
