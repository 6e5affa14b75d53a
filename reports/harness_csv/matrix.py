"""The paper table as CSV: one line for each cell, so that any program can turn it as it needs."""

from __future__ import annotations

import csv
import io
from typing import Final

from harness.matrix import Matrix
from harness.text import escape_cell, plain

_COLUMNS: Final = (
    *("model", "name", "published", "group", "over", "head", "task", "split", "metric", "by_people", "unit", "better"),
    *("value", "shown", "ci95_low", "ci95_high", "seeds", "seed_sd", "standing", "judge", "notes"),
)


def render_matrix(table: Matrix) -> str:
    """One line for each cell, dashes too; no text can act as a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            low, high = cell.ci95 or (None, None)
            line: list[str | int | float | bool | None] = [
                *(
                    row.model,
                    row.name,
                    row.published,
                    column.group,
                    column.over,
                    column.head,
                    column.task,
                    column.split,
                ),
                *(column.metric, column.by_people, column.unit),
                *(column.better, cell.value),
                "" if cell.value is None else cell.number,
                *(low, high, cell.seeds or None, cell.sd, cell.standing, column.judge, "; ".join(cell.told)),
            ]
            writer.writerow(
                [escape_cell(" ".join(plain(each).split())) if isinstance(each, str) else each for each in line]
            )
    return out.getvalue()
