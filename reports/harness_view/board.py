"""The leaderboard of the runs that a viewer shows: drawn by a loaded report that can link its numbers to their samples.

No plugin imports another, so the report is found among all that are loaded. Where none can link, there is no page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape, unescape
from typing import Final

from harness import SampleLinks, plugins
from harness.board.results import FILE, read_folders
from harness.contracts import Report
from harness.errors import HarnessError
from harness.runs.seed_groups import group_runs
from harness.store.journal import stat_file
from harness.web.pages import POLICY

from .index import RunIndex

NAME: Final = "leaderboard.html"
VIEWER: Final = "index.html"
_META: Final = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')


def find_linked_report() -> Report | None:
    """The first loaded report that can link its numbers to samples; None if no plugin offers one."""
    return next((report for report, _ in plugins.current().offers("reports") if report.linked is not None), None)


def render_leaderboard(indexes: Sequence[RunIndex]) -> str:
    """The leaderboard of these runs, without those that have no results yet.

    Raises:
        HarnessError: no report can link its numbers, no run has results, or results cannot be read.
    """
    report = find_linked_report()
    if report is None or report.linked is None:
        raise HarnessError(
            "no loaded report links its numbers to samples",
            remedy="harness plugins list shows what is loaded; the report html does",
        )
    having = [index for index in indexes if (index.folder / FILE).is_file()]
    if not having:
        raise HarnessError(
            "no run here has results yet", remedy="open this page again when a run has ended: it then writes them"
        )
    paths = [index.folder / FILE for index in having]
    grouped = group_runs(paths, read_folders(paths))
    names = [tuple(having[place].name for place in places) for places in grouped.members]
    return report.linked(grouped.results, SampleLinks(viewer=VIEWER, runs=names))


class LeaderboardPage:
    """The page as a server sends it; it is drawn again when results change."""

    def __init__(self, indexes: Sequence[RunIndex]) -> None:
        self._indexes = indexes
        self._drawn: tuple[object, str] = (None, "")

    def render(self) -> tuple[int, str, str]:
        """Status, page, and its content policy: its own style and script are allowed by hash."""
        stamp = [stat_file(index.folder / FILE) for index in self._indexes]
        try:
            if self._drawn[0] != stamp:
                self._drawn = (stamp, render_leaderboard(self._indexes))
        except HarnessError as error:
            page = (
                '<!doctype html><html lang="en"><meta charset="utf-8"><title>Leaderboard</title>'
                '<link rel="stylesheet" href="/assets/look.css"><header><h1>Leaderboard</h1></header>'
                f'<main><p>{escape(str(error))}</p><p><a href="{VIEWER}">All samples</a></p></main></html>'
            )
            return 404, page, POLICY
        page = self._drawn[1]
        own = _META.search(page)
        return 200, page, f"{unescape(own[1])}; frame-ancestors 'none'" if own else POLICY
