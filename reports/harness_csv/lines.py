"""The long form of boards and means as CSV; empty where there is nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from harness import sheets
from harness.board.means import Mean
from harness.board.values import Board
from harness.longform import COLUMNS, Cell, lines
from harness.terminal import plain


def document(boards: Sequence[Board], means: Sequence[Mean] = ()) -> str:
    """The file's text; lines end with a line feed, the first names the columns, the means stand last."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: defused(cell) for name, cell in line.items()} for line in lines(boards, means))
    return out.getvalue()


def defused(cell: Cell) -> Cell:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front."""
    if not isinstance(cell, str):
        return cell
    return sheets.defused(" ".join(plain(cell).split()))
