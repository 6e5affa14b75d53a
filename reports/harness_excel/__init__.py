"""The leaderboard as an Excel workbook: `harness report RUNS --format excel --output FILE.xlsx`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import HarnessError, Report, Results, hookimpl

INSTALL = "pip install 'vlm-safety-harness[excel]'"


def render(results: Sequence[Results]) -> bytes:
    """A sheet for each board, one of all numbers, one of notes. Raises HarnessError where xlsxwriter is missing."""
    try:
        from .book import workbook
    except ImportError as error:
        raise HarnessError(f"--format excel needs the extra `excel`: {error}", remedy=INSTALL) from error
    return workbook(results)


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `excel`."""
    return (Report(name="excel", description="a workbook with a sheet for each board", render=render, suffix=".xlsx"),)
