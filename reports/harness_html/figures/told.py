"""The words of captions: what is drawn, of how many, and how the marks are to be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.board.values import Board, Row

from .kinds import Reading
from .names import shown


def sentence(first: str, *clauses: str) -> str:
    """One sentence of clauses; empty ones are left out."""
    return f"{'; '.join([first, *(clause for clause in clauses if clause)])}."


def count(number: int, noun: str) -> str:
    """`1 model`, `12 models`, `3 categories`."""
    several = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else several}"


def samples(rows: Iterable[Row]) -> str:
    """How many samples the numbers rest on: `n 2,185`, or from the fewest to the most."""
    return sizes(row.n for row in rows)


def sizes(numbers: Iterable[int]) -> str:
    """`n 2,185`, or from the fewest to the most; empty where there is none."""
    found = sorted(set(numbers))
    if not found:
        return ""
    return f"n {found[0]:,}" if len(found) == 1 else f"n {found[0]:,} to {found[-1]:,}"


def intervals(readings: Iterable[Reading]) -> str:
    """What the lines are; said of an interval that unresolved records widen."""
    given = [each for each in readings if each.high > each.low]
    if not given:
        return ""
    stretched = sum(each.stretched for each in given)
    if not stretched:
        return "lines are 95% intervals"
    whose = "all" if stretched == len(given) else f"{stretched} of {len(given)}"
    return f"lines are 95% intervals, in {whose} of them the worst case over what is unresolved"


def unranked(rows: Sequence[Row], how: str = "hollow and grey") -> str:
    """How rows that are not ranked are drawn."""
    number = sum(bool(row.unranked) for row in rows)
    return f"{how}: not ranked, a subset or incomplete ({number})" if number else ""


def more(drawn: int, there: int, noun: str = "model") -> str:
    """What was left out: `and 20 more models`."""
    return f"and {count(there - drawn, f'more {noun}')} not drawn" if there > drawn else ""


def rest(place: int, most: int, there: int, noun: str) -> str:
    """Said of the last of `most` figures, where there could be more."""
    return more(most, there, noun) if place == most else ""


def judged(rows: Sequence[Row]) -> str:
    """Who judged; empty where nobody did."""
    labels = dict.fromkeys(row.judge.label for row in rows if row.judge.id)
    return f"judged by {', '.join(shown(label, 80) for label in labels)}" if labels else ""


def direction(better: str) -> str:
    """`lower is better`; empty where neither is."""
    return "" if better == "neither" else f"{better} is better"


def board(of: Board) -> str:
    """A board's name as it stands in a caption."""
    return shown(of.name, 60)
