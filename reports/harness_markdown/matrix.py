"""The paper table as GitHub Markdown: one table, whose heads hold their groups, with footnotes below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from harness.matrix import Matrix, MatrixCell, MatrixColumn
from harness.text import escape_markdown

_STANDINGS: Final = {"best": "**{}**", "second": "<ins>{}</ins>", "": "{}"}


def render_matrix(table: Matrix) -> str:
    """The table with its title, what holds for all of it, and its footnotes."""
    lines = [["Model", *map(_write_head, table.columns)], ["---", *("---:" for _ in table.columns)]]
    for row in table.rows:
        if row.section:
            lines.append([f"*{escape_markdown(row.section)}*", *("" for _ in table.columns)])
        lines.append([escape_markdown(row.name) + _write_marks(row.notes), *map(_write_cell, row.cells)])
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    written = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    ]
    notes = [f"{_write_marks((note.mark,))} {escape_markdown(note.text)}" for note in table.notes]
    blocks = [
        f"### {escape_markdown(table.title)}",
        "\n".join(written),
        "\n".join(f"- {text}" for text in notes),
        "\n".join(f"<sub>{escape_markdown(fact)}</sub><br>" for fact in table.facts).removesuffix("<br>"),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _write_head(column: MatrixColumn) -> str:
    """`Safety<br>easy<br>ASR ↓`: Markdown has no heads over several columns."""
    named = [escape_markdown(part) for part in (column.group, column.over, column.head) if part]
    return f"{'<br>'.join(named)} {column.arrow}".rstrip() + _write_marks(column.notes)


def _write_cell(cell: MatrixCell) -> str:
    number = _STANDINGS[cell.standing].format(cell.number)
    return " ".join(part for part in (number + _write_marks(cell.notes), cell.spread, cell.interval) if part)


def _write_marks(notes: Sequence[str]) -> str:
    return f"<sup>{','.join(notes)}</sup>" if notes else ""
