"""What a sweep has made: its rows, sweep.json (`harness.sweep/1`, docs/sweep.schema.json), and its page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import plugins
from harness.board.costs import is_not_sold
from harness.board.results import FILE
from harness.errors import HarnessError
from harness.files import atomic_write
from harness.runs.reporting import report
from harness.runs.sweeping.grids import Grid, build_matrix
from harness.runs.sweeping.records import STATES, Row
from harness.types import Json

SCHEMA: Final = "harness.sweep/1"
SWEEP_FILE: Final = "sweep.json"
LEADERBOARD: Final = "leaderboard.html"
GRIDS: Final = "defences"  #: the tables of the axes, without their ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep as it stands.

    Attributes:
        output: its folder.
        rows: one for each unit, in the file's order.
        executor: what ran it.
        started: when this invocation began, ISO 8601.
        finished: when it ended.
        leaderboard: the page; None if no unit has results, or no report writes pages.
        submitted: ids of Slurm's jobs, if they run it.
        notes: what the user should read.
        grids: tables of the axes; none without axes.
    """

    output: Path
    rows: tuple[Row, ...]
    executor: str
    started: str
    finished: str
    leaderboard: Path | None = None
    submitted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """State -> number of units."""
        found = Counter[str](row.state for row in self.rows)
        return {state: found[state] for state in STATES if found[state]}

    @property
    def cost_usd(self) -> float | None:
        """Dollars of all units whose calls have a price; None if there are none, or if one cost is unknown."""
        ended = [row.run for row in self.rows if row.run is not None and row.run.numbers]
        sold = [run.cost_usd for run in ended if not is_not_sold(run.cost_why)]
        costs = [cost for cost in sold if cost is not None]
        return sum(costs) if sold and len(costs) == len(sold) else None

    @property
    def exit_code(self) -> int:
        """0 if all are complete, or if Slurm runs them; 2 if nothing could start; 3 otherwise."""
        if self.submitted or all(row.state == "complete" for row in self.rows):
            return 0
        return 2 if all(row.state == "failed" and row.run is None and row.code == 2 for row in self.rows) else 3

    def as_json(self) -> dict[str, Json]:
        """The sweep in sweep.json."""
        return {
            "schema": SCHEMA,
            "started": self.started,
            "finished": self.finished,
            "executor": self.executor,
            "output": str(self.output),
            "exit_code": self.exit_code,
            "counts": dict(self.counts),
            "cost_usd": self.cost_usd,
            "leaderboard": None if self.leaderboard is None else str(self.leaderboard),
            "submitted": list(self.submitted),
            "notes": list(self.notes),
            "units": [row.as_json() for row in self.rows],
            **({"grids": [grid.as_json() for grid in self.grids]} if self.grids else {}),
        }

    def write(self) -> None:
        """Write sweep.json."""
        atomic_write(self.output / SWEEP_FILE, json.dumps(self.as_json(), ensure_ascii=False, indent=1) + "\n")


def write_grids(grids: Sequence[Grid], output: Path) -> None:
    """Write the tables of the axes for a paper: Markdown and LaTeX, as far as a report is there for them."""
    if not grids:
        return
    table = build_matrix(grids)
    for report_, _ in plugins.current().offers("reports"):
        if report_.name in ("markdown", "latex") and report_.matrix is not None:
            drawn = report_.matrix(table)
            if isinstance(drawn, str):
                atomic_write(output / f"{GRIDS}{report_.suffix}", drawn)


def write_leaderboard(rows: list[Row], output: Path, tell: Callable[[str], None]) -> Path | None:
    """Write the page of all units that have results; None if there is none, or no report writes such a page."""
    folders = [row.unit.folder for row in rows if (row.unit.folder / FILE).is_file()]
    if not folders:
        return None
    target = output / LEADERBOARD
    try:
        report([str(folder / FILE) for folder in folders], output=target, tell=tell)
    except HarnessError as error:
        tell(f"no {LEADERBOARD}: {error}")
        return None
    return target
