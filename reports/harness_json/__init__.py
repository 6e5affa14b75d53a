"""The leaderboard as JSON, for another program: `harness report RUNS --format json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness import Report, Results, hookimpl

SCHEMA = "harness.leaderboard/1"


def render(results: Sequence[Results]) -> str:
    """`{"schema", "boards": [{name, task, split, part_of, rows, notes}], "means"}`; fields as in `harness.board`."""
    import json
    from dataclasses import asdict

    from harness.board.leaderboard import boards
    from harness.board.suites import means

    made: list[dict[str, Any]] = [{"name": board.name, **asdict(board)} for board in boards(results)]
    for row in (row for board in made for row in board["rows"]):
        row["group"] = row["topic"]  # the key's first name, which readers of the schema know
    whole = {"schema": SCHEMA, "boards": made, "means": [asdict(mean) for mean in means(results)]}
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


@hookimpl
def harness_reports() -> Iterable[Report]:
    """Offer `json`."""
    return (Report(name="json", description="the leaderboard as data", render=render, suffix=".json"),)
