"""The table of `harness report`: all boards, a line for each row, as wide as the terminal and never wider.

Who stands in one board, and in which order, is `harness.board.ranking`'s to say; how much of it fits, `fitting`'s.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from harness.board.fitting import GAP, MARKS, Fitted, fitted
from harness.board.flagged import flagged
from harness.board.leaderboard import boards
from harness.board.standing import standing
from harness.board.table import WIDTH, draw_means, drawn, shown
from harness.board.values import Board
from harness.contracts import Results
from harness.terminal import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

NARROW: Final = 80  #: columns where there is no terminal and nobody says how many
_STYLES: Final = {"best": "bold green", "second": "cyan", "": ""}
_LEGEND: Final = f"{MARKS['best']} best, {MARKS['second']} second: where no other's interval reaches it"


def render(results: Sequence[Results]) -> str:
    """The table as plain text, for a file.

    Args:
        results: dicts of results.json, one per run.
    """
    return drawn(lambda console: draw(console, results), WIDTH)


def show(results: Sequence[Results], stream: TextIO | None = None) -> None:
    """Print the table; `stream` is stdout unless given. What is no terminal is as wide as COLUMNS says."""
    width = shutil.get_terminal_size((NARROW, 0)).columns
    shown(lambda console: draw(console, results), width, stream)


def draw(console: Console, results: Sequence[Results]) -> None:
    """Print the table on a console of the caller's."""
    for number, board in enumerate(boards(results)):
        if number:
            console.print()
        _draw_board(console, board)
    draw_means(console, results)


def _draw_board(console: Console, board: Board) -> None:
    from rich.padding import Padding
    from rich.text import Text

    judged = " | ".join(dict.fromkeys(row.judge.label for row in board.rows))
    worded = ", ".join(dict.fromkeys(row.fidelity for row in board.rows if row.fidelity))
    about = f"  judge {one_line(judged)}{f' · wording {one_line(worded)}' if worded else ''}"
    console.print(Text.assemble((one_line(board.name), "bold"), (about, "dim")))
    console.print(_table(board, fitted(board, console.width)))
    for note in _notes(board):
        console.print(Padding(Text(one_line(note), style="dim"), (0, 0, 0, GAP)))


def _table(board: Board, fit: Fitted) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, GAP, 0, 0))
    for place, column in enumerate(fit.columns):
        width = fit.model if place == 1 else column.width
        table.add_column(justify="right" if column.right else "left", no_wrap=True, width=width)
    table.add_row(*(Text(column.head, style="dim") for column in fit.columns))
    for number, row in enumerate(board.rows):
        style = _STYLES[standing(board, row)] or ("dim" if row.rank is None else "")
        table.add_row(*(Text(cell, style=style) for cell in _cells(fit, number)))
    return table


def _cells(fit: Fitted, number: int) -> Iterator[str]:
    for place, column in enumerate(fit.columns):
        yield middle(column.cells[number], fit.model) if place == 1 else column.cells[number]


def _notes(board: Board) -> Iterator[str]:
    if any(standing(board, row) for row in board.rows):
        yield _LEGEND
    yield from (*board.notes, *flagged(board))


def middle(text: str, width: int) -> str:
    """A text of at most so many columns; names are told apart by how they begin and end."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    if width < 3:
        return set_cell_size(text, width)
    head = (width - 1) // 2
    tail = width - 1 - head
    kept = text
    while cell_len(kept) > tail:
        kept = kept[1:]
    return f"{set_cell_size(text, head).rstrip()}…{kept}"
