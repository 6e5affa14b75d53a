"""Sets the boards of one suite together: what a report stands under the suite's name, in the suite's order.

The results say what they were asked as (`suites` of results.json); a user may name other suites for results that were
not.
A board of two suites belongs to both, and its table stands under the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board.leaderboard import Board
from harness.contracts import BUILT, Results, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteGroup:
    """The boards of one suite, or those of none.

    Attributes:
        suite: its name; empty for the boards of no suite, which come last.
        boards: all of them, in the suite's order; a pooled split comes before its parts.
        above: name of a board whose table stands under an earlier suite -> that suite.
    """

    suite: str
    boards: tuple[Board, ...]
    above: Mapping[str, str]

    @property
    def own(self) -> tuple[Board, ...]:
        """The boards whose tables stand here."""
        return tuple(board for board in self.boards if board.name not in self.above)

    @property
    def reference(self) -> str:
        """Where its other tables stand, as a sentence; empty where all are here."""
        places: dict[str, list[str]] = {}
        for name, suite in self.above.items():
            places.setdefault(suite, []).append(name)
        named = "; ".join(f"{', '.join(names)} (under {suite})" for suite, names in places.items())
        return f"Also of this suite: {named}." if named else ""


def group_boards(boards: Sequence[Board], results: Sequence[Results]) -> tuple[SuiteGroup, ...]:
    """The boards by suite, in the order in which the results name them; one group without a name if none is."""
    suites: dict[str, dict[str, int]] = {}  # suite -> title of a board -> its place
    for result in results:
        named: Mapping[str, Mapping[str, Any]] = result.get("suites") or {}
        for suite, about in named.items():
            places = suites.setdefault(suite, {})
            for title in about.get("splits") or ():
                places.setdefault(title.removesuffix(":all"), len(places))
    homes: dict[str, str] = {}  # name of a board -> the suite that its table stands under
    groups: list[SuiteGroup] = []
    for suite, places in suites.items():
        found: list[tuple[int, Board]] = []
        for board in boards:
            parts = [each.title for each in boards if (each.task, each.part_of) == (board.task, board.split)]
            own = [places[title] for title in (board.title, *parts) if title in places]
            if own:
                found.append((min(own), board))
        if found:
            ordered = tuple(board for _, board in sorted(found, key=lambda each: each[0]))
            above = {board.name: homes[board.name] for board in ordered if board.name in homes}
            homes |= {board.name: suite for board in ordered if board.name not in homes}
            groups.append(SuiteGroup(suite=suite, boards=ordered, above=above))
    rest = tuple(board for board in boards if board.name not in homes)
    return (*groups, *([SuiteGroup(suite="", boards=rest, above={})] if rest or not groups else []))


def name_suites(results: Sequence[Results], suites: Sequence[Suite]) -> list[Results]:
    """The results as if they had been asked as these suites, too; these come first.

    What a result knows of a suite that it was asked as stays. The others get no mean: their settings and judges may not
    be those of the suite.
    """
    found: list[Results] = []
    for result in results:
        known: Mapping[str, Any] = result.get("suites") or {}
        named: dict[str, Any] = {}
        for suite in suites:
            titles = list(dict.fromkeys(title for entry in suite.tasks for title in _find_titles(entry, result)))
            if suite.name in known or titles:
                named[suite.name] = known.get(suite.name) or {"splits": titles, "missing": [], "mean": None}
        found.append({**result, "suites": {**named, **known}} if named else result)
    return found


def _find_titles(entry: str, result: Results) -> Iterator[str]:
    """Titles of the splits of a result that an entry of a suite names, with whatever settings they were asked."""
    task, _, wanted = entry.partition(":")
    for name, about in result["tasks"].items():
        if name.partition("+")[0] == task and BUILT not in name:
            yield from (f"{name}:{split}" for split in about["splits"] if wanted in ("", split))
