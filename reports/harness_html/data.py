"""The page's numbers for a reader's own program: a flat row for each, the same in the page, in CSV and in JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from harness.board.leaderboard import Board
from harness.board.rows import Measure, Row
from harness.text import escape_cell, one_line

Flat = dict[str, str | int | float | bool | None]


def list_numbers(boards: Sequence[Board]) -> list[Flat]:
    """Each metric of each row; breakdowns are left to `--format csv`."""
    return [_flatten(board, row, measure) for board in boards for row in board.rows for measure in row.measures]


def to_json(boards: Sequence[Board]) -> str:
    """One JSON array of objects."""
    return json.dumps(list_numbers(boards), ensure_ascii=True, allow_nan=False, indent=1) + "\n"


def to_page(boards: Sequence[Board]) -> str:
    """The names once and the rows as arrays, for the page; `<` is escaped, so that no text ends a script element."""
    rows = list_numbers(boards)
    whole = {"names": list(rows[0]) if rows else [], "rows": [list(row.values()) for row in rows]}
    text = json.dumps(whole, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def to_csv(boards: Sequence[Board]) -> str:
    """CSV, no cell of which a spreadsheet takes for a formula."""
    rows, out = list_numbers(boards), io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [], lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: escape_cell(cell) if isinstance(cell, str) else cell for name, cell in row.items()})
    return out.getvalue()


def _flatten(board: Board, row: Row, measure: Measure) -> Flat:
    return {
        "model": one_line(row.model),
        "task": one_line(board.task),
        "split": one_line(board.split),
        "class": board.group,
        "metric": one_line(measure.name),
        "main": measure.main,
        "unit": measure.unit,
        "better": measure.better,
        "value": measure.value,
        "why": one_line(measure.why, 200),
        "ci95_low": measure.ci95[0],
        "ci95_high": measure.ci95[1],
        "ci95_worst_low": measure.ci95_worst[0],
        "ci95_worst_high": measure.ci95_worst[1],
        "numerator": measure.numerator,
        "denominator": measure.denominator,
        "unresolved": measure.unresolved,
        "n": row.n,
        "coverage": row.coverage,
        "complete": row.complete,
        "blocked": row.blocked,
        "rank": row.rank if measure.main else None,
        "unranked": one_line(row.unranked),
        "judge": one_line(row.judge.id),
        "flags": " ".join(caution.kind for caution in row.cautions),
        "finished": one_line(row.finished),
        "model_revision": one_line(row.model_revision),
        "data": one_line(row.data),
        "revision": one_line(row.revision),
    }
