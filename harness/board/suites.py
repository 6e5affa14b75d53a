"""Suites in reports: the boards of one suite together, in the suite's order, and the mean of its parts.

The results say what they were asked as (`suites` of results.json); a user may name other suites for results that were
not.
A board of two suites belongs to both, and its table stands under the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.board.display import ARROWS, format_estimate, format_value
from harness.board.leaderboard import Board
from harness.board.rows import Ends
from harness.board.sections import attack_name, parse_ends, strategy_name
from harness.contracts import BUILT, Results, Suite
from harness.metrics import Better


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """The unweighted mean of the main numbers of a suite's parts, for one run.

    Attributes:
        suite: its name, and the built sets that it was asked on: a mean over those is another mean.
        model: its shown name: the ref, and the strategy that wrapped it.
        ref: as the user wrote it.
        strategy: its name; empty for none.
        attack: name of the attack that changed the questions; empty for none.
        value: None while a part is missing.
        ci95: its interval.
        ci95_worst: the interval ranks would use.
        bounds: the mean of the parts' bounds.
        unit: of the parts.
        better: direction of the parts.
        of: title of each part -> (metric, value).
        missing: titles of the parts without a value.
        complete: every part is there, complete, no subset, and as large as published.
    """

    suite: str
    model: str
    ref: str
    strategy: str
    value: float | None
    ci95: Ends
    ci95_worst: Ends
    bounds: Ends
    unit: str
    better: Better | None
    of: Mapping[str, tuple[str, float]]
    missing: tuple[str, ...]
    complete: bool
    attack: str = ""

    @property
    def parts(self) -> int:
        """How many numbers it is the mean of, missing ones too."""
        return len(self.of) + len(self.missing)

    @property
    def sources(self) -> str:
        """The numbers that it is the mean of: `a:b 61.2, c:d 60.0`."""
        return ", ".join(f"{title} {format_value(value, self.unit)}" for title, (_, value) in self.of.items())

    @property
    def line(self) -> str:
        """In one line: `general: mean of 5, 61.3 [60.2, 62.4] ↑`, and what it lacks."""
        estimate = format_estimate(self.value, self.ci95, self.unit)
        number = f"{self.suite}: mean of {self.parts}, {estimate} {ARROWS.get(self.better or '', '')}".rstrip()
        if self.missing:
            return f"{number} (missing: {', '.join(self.missing)})"
        return number if self.complete else f"{number} (a part is a subset or incomplete)"


def means(results: Sequence[Results]) -> tuple[Mean, ...]:
    """The means of some results, suite by suite in the order of the results.

    Args:
        results: dicts of results.json, one per run.
    """
    found: list[Mean] = []
    for result in results:
        suites: Mapping[str, Mapping[str, Any]] = result.get("suites") or {}
        ref: str = result["model"]["ref"]
        strategy, attack = strategy_name(result), attack_name(result)
        for suite, about in suites.items():
            body = about["mean"]
            if body is None:
                continue
            titles = (*body["of"], *body["missing"])
            sets = dict.fromkeys(title.partition(BUILT)[2].partition(":")[0] for title in titles if BUILT in title)
            found.append(
                Mean(
                    suite=suite + "".join(f"{BUILT}{name}" for name in sets),
                    model=" + ".join(part for part in (ref, strategy, attack and f"attack {attack}") if part),
                    ref=ref,
                    strategy=strategy,
                    attack=attack,
                    value=body["value"],
                    ci95=parse_ends(body["ci95"]),
                    ci95_worst=parse_ends(body["ci95_worst"]),
                    bounds=parse_ends(body.get("bounds")),
                    unit=body["unit"] or "%",
                    better=body["better"],
                    of={title: (part["metric"], part["value"]) for title, part in body["of"].items()},
                    missing=tuple(body["missing"]),
                    complete=body["complete"],
                )
            )
    order = list(dict.fromkeys(mean.suite for mean in found))
    return tuple(sorted(found, key=lambda mean: order.index(mean.suite)))
