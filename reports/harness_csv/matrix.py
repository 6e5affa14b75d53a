"""The paper table as CSV: one line for each cell, so that any program can turn it as it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.board.sheet import Cell, render_csv
from harness.matrix import Matrix

_COLUMNS: Final = (
    *("model", "name", "published", "group", "over", "head", "task", "split", "metric", "by_people", "unit", "better"),
    *("value", "shown", "ci95_low", "ci95_high", "seeds", "seed_sd", "standing", "judge", "notes"),
)


def render_matrix(table: Matrix) -> str:
    """One line for each cell, dashes too; no text can act as a formula."""
    return render_csv(_COLUMNS, (dict(zip(_COLUMNS, line, strict=True)) for line in _list_lines(table)))


def _list_lines(table: Matrix) -> Iterator[tuple[Cell, ...]]:
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            yield (
                *(row.model, row.name, row.published),
                *(column.group, column.over, column.head, column.task, column.split),
                *(column.metric, column.by_people, column.unit, column.better),
                cell.value,
                "" if cell.value is None else cell.number,
                *(cell.ci95 or (None, None)),
                *(cell.seeds or None, cell.sd, cell.standing, column.judge, "; ".join(cell.told)),
            )
