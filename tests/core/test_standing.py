from __future__ import annotations

import pytest

from harness.board.leaderboard import boards
from harness.board.standing import standing
from harness.testing.results import judged, results, split


def marks(*unsafe: int) -> list[str]:
    runs = [
        results(
            f"x/{place}", {"t": {"all": split(judged({"bad": count, "good": 1000 - count}, main="bad"), judge="r-1")}}
        )
        for place, count in enumerate(unsafe)
    ]
    (board,) = boards(runs)
    return [standing(board, row) for row in board.rows]


@pytest.mark.parametrize(
    ("unsafe", "marked"),
    [
        ((100, 400, 800), ["best", "second", ""]),
        ((100, 105, 800), ["", "", ""]),
        ((100, 400, 405), ["best", "", ""]),
        ((100, 400), ["best", ""]),  # the last is no second
        ((100,), [""]),
    ],
)
def test_only_a_significant_lead_is_marked(unsafe: tuple[int, ...], marked: list[str]) -> None:
    assert marks(*unsafe) == marked
