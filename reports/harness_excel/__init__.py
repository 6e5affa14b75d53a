"""The leaderboard as an Excel workbook: `harness report RUNS --format excel --output FILE.xlsx`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import Report, Results, hookimpl


def render(results: Sequence[Results]) -> bytes:
    """A sheet per board, one of all numbers, one of notes. Raises HarnessError if xlsxwriter is missing."""
    from harness.extras import require

    with require("excel", by="--format excel"):
        from .workbook import build_workbook
    return build_workbook(results)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `excel`."""
    return (Report(name="excel", description="a workbook with a sheet for each board", render=render, suffix=".xlsx"),)
