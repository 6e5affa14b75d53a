"""Every number as one line of CSV: `harness report RUNS --format csv`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from harness import Report, Results, hookimpl

if TYPE_CHECKING:
    from harness.matrix import Matrix

_MATRIX_COLUMNS: Final = (
    *("model", "name", "published", "group", "over", "head", "task", "split", "metric", "by_people", "unit", "better"),
    *("value", "shown", "ci95_low", "ci95_high", "seeds", "seed_sd", "standing", "judge", "notes"),
)


def render(results: Sequence[Results]) -> str:
    """One line per metric of each row, group and stratum, then the means; no text can act as a formula."""
    from harness.board.leaderboard import boards
    from harness.board.sheet import COLUMNS, list_lines, render_csv
    from harness.board.suites import means

    return render_csv(COLUMNS, list_lines(boards(results), means(results)))


def tabulate(table: Matrix) -> str:
    """The paper table with a line for each cell, dashes too, so that any program can turn it as it needs."""
    from harness.board.sheet import render_csv

    lines: list[dict[str, object]] = []
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            values = (
                *(row.model, row.name, row.published),
                *(column.group, column.over, column.head, column.task, column.split),
                *(column.metric, column.by_people, column.unit, column.better),
                cell.value,
                "" if cell.value is None else cell.number,
                *(cell.ci95 or (None, None)),
                *(cell.seeds or None, cell.sd, cell.standing, column.judge, "; ".join(cell.told)),
            )
            lines.append(dict(zip(_MATRIX_COLUMNS, values, strict=True)))
    return render_csv(_MATRIX_COLUMNS, lines)


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
