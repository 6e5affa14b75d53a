"""The words of figures: names of strangers made safe and short, and the clauses of captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.board.leaderboard import Board
from harness.board.rows import Row
from harness.text import one_line

AT_AXIS: Final = 44  #: characters of a name at an axis
IN_TABLE: Final = 300  #: characters of a name in a table
_NOT_IN_XML: Final[Mapping[int, None]] = {0xFFFE: None, 0xFFFF: None}


def shorten(name: str, width: int = AT_AXIS) -> str:
    """A name on one line; a long one loses its middle, since names of one family differ at their ends."""
    line = one_line(name.translate(_NOT_IN_XML), 10_000) or "(no name)"
    if len(line) <= width:
        return line
    tail = width // 3
    return f"{line[: width - tail - 1].rstrip()}…{line[-tail:].lstrip()}"


def make_distinct(names: Iterable[str], width: int = AT_AXIS) -> list[str]:
    """The shortened names, numbered where two look the same: an axis holds each name once."""
    seen: Counter[str] = Counter()
    distinct: list[str] = []
    for name in (shorten(each, width) for each in names):
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name} ·{seen[name]}")
    return distinct


def make_slug(*parts: str) -> str:
    """A file name of some parts: `forest-mis-test`."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:80].strip("-")


def join_clauses(first: str, *clauses: str) -> str:
    """One sentence of clauses; empty ones are left out."""
    return f"{'; '.join([first, *filter(None, clauses)])}."


def format_board(board: Board) -> str:
    """A board's name as captions and titles spell it."""
    return shorten(board.name, 60)


def format_count(number: int, noun: str) -> str:
    """`1 model`, `12 models`, `3 categories`."""
    several = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else several}"


def format_sizes(numbers: Iterable[int]) -> str:
    """`n 2,185`, or from the fewest to the most; empty where there is none."""
    found = sorted(set(numbers))
    if not found:
        return ""
    return f"n {found[0]:,}" if len(found) == 1 else f"n {found[0]:,} to {found[-1]:,}"


def describe_direction(better: str) -> str:
    """`lower is better`; empty where neither is."""
    return "" if better == "neither" else f"{better} is better"


def describe_judges(rows: Sequence[Row]) -> str:
    """Who judged the rows; empty where no judge did."""
    labels = dict.fromkeys(row.judge.label for row in rows if row.judge.id)
    return f"judged by {', '.join(shorten(label, 80) for label in labels)}" if labels else ""


def describe_unranked(rows: Sequence[Row], how: str = "hollow and grey") -> str:
    """How rows without a rank are drawn; empty where all have one."""
    number = sum(bool(row.unranked) for row in rows)
    return f"{how}: not ranked, a subset or incomplete ({number})" if number else ""


def describe_rest(drawn: int, there: int, noun: str = "model") -> str:
    """What is not in the figure: `and 20 more models not drawn`; empty where all is."""
    return f"and {format_count(there - drawn, f'more {noun}')} not drawn" if there > drawn else ""
