"""The leaderboard: results in, one board for each task, split and class of comparability out. Reports draw only this.

Reading is in `harness.board.rows`; who may be compared with whom, and how, in `harness.board.ranking`.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.board.ranking import ranked
from harness.board.rows import Section, rows, sections
from harness.board.values import Board
from harness.contracts import Results


def boards(results: Sequence[Results]) -> tuple[Board, ...]:
    """The boards of each task and split, tasks in the order of the results; a derived split first, its parts last.

    Args:
        results: dicts of results.json, one per run.
    """
    found: dict[tuple[str, str], list[Section]] = {}
    for section in (section for result in results for section in sections(result)):
        found.setdefault((section.task, section.split), []).append(section)
    owners = {(s.task, part): s.split for split in found.values() for s in split for part in s.parts}
    tasks = list(dict.fromkeys(task for task, _ in found))
    derived = {(task, owner) for (task, _), owner in owners.items()}
    order = sorted(found, key=lambda key: (tasks.index(key[0]), key in owners, key not in derived))
    return tuple(
        board
        for task, split in order
        for board in ranked(
            Board(
                task=task,
                split=split,
                part_of=owners.get((task, split), ""),
                rows=tuple(row for section in found[task, split] for row in rows(section)),
            )
        )
    )
