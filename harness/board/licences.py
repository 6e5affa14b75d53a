"""What the publishers of the data behind the numbers allow: carried along wherever the numbers go."""

from __future__ import annotations

from collections.abc import Sequence

from harness.board.values import Board


def licences(boards: Sequence[Board]) -> tuple[tuple[str, str, str], ...]:
    """(task, source, licence) of the data behind the numbers, each once."""
    every = ((board.task, row.source, row.licence) for board in boards for row in board.rows)
    return tuple(dict.fromkeys(each for each in every if each[2]))
