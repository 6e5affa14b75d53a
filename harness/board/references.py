"""Published numbers that belong beside a board: apart from it, unsorted, never ranked and never best."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.board.published import PublishedRow, published
from harness.board.values import Board
from harness.contracts import Task
from harness.errors import BadData


def references(board: Board, tasks: Iterable[Task]) -> tuple[PublishedRow, ...]:
    """The published rows of a board's task and split, in the order of their file; none where its task is gone.

    A task whose settings are changed has none: the numbers are of another task. A file that cannot be read gives none
    here; `published` says what is wrong with it.

    Args:
        board: one class of a split; published rows belong to none and stand beside each.
        tasks: all that are offered.
    """
    found = next((task for task in tasks if task.name == board.task), None)
    try:
        rows = () if found is None or not re.fullmatch(r"[\w.-]+", board.task) else published(found)
    except BadData:
        return ()
    return tuple(row for row in rows if row.split == board.split)
