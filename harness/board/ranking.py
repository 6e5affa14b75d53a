"""Which rows of a board may be ranked, against which others, and how.

Subsets and incomplete results are never ranked. Rows are ranked only against rows with the same judge, wording, data
and settings; others get a letter of their own and a note says what differs. A rank is one more than the number of rows
whose whole interval is better, so rows that cannot be told apart share it. The interval is `ci95_worst`, which covers
what unresolved records could still have been.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from harness.board.display import estimate, figure, share, span
from harness.board.values import Board, Measure, Row
from harness.metrics import Better
from harness.types import Json

_TURNS: Final[Mapping[Better, float]] = {"lower": 1.0, "higher": -1.0, "neither": 0.0}


def ranked(board: Board) -> Board:
    """The board with its rows named apart, grouped, ranked and sorted, and its notes written."""
    rows = [replace(row, unranked=_unranked(row)) for row in _named_apart(board.rows)]
    rows = sorted(_with_data(rows), key=_order)
    bases = list(dict.fromkeys(_key(row) for row in rows if not row.unranked))
    letters = dict(zip(bases, _letters(), strict=False)) if len(bases) > 1 else {}
    lettered = [row if row.unranked else replace(row, group=letters.get(_key(row), "")) for row in rows]
    placed = tuple(replace(row, rank=_rank(row, lettered)) for row in lettered)
    notes = dict.fromkeys((*_apart(placed), *_remarks(board.split, placed)))  # two judges of a run may earn the same
    return replace(board, rows=placed, notes=tuple(notes))


def worst_interval(row: Row) -> tuple[float, float] | None:
    """The interval ranks use, turned so that lower is better; None when there is none, or neither direction is."""
    if row.main is None or row.main.better == "neither":
        return None
    low, high = row.main.ci95_worst
    if low is None or high is None:
        return None
    return (low, high) if row.main.better == "lower" else (-high, -low)


def _unranked(row: Row) -> str:
    if row.main is None or row.main.value is None:
        return "nothing scored"
    if row.subset is not None:
        return f"subset ({', '.join(f'{name} {value}' for name, value in row.subset.items())})"
    if not row.complete:
        return f"incomplete (coverage {share(row.coverage)})"
    if row.main.better == "neither":
        return f"neither direction of {row.main.name} is better"
    return "" if worst_interval(row) is not None else "no interval"


def _rank(row: Row, rows: Sequence[Row]) -> int | None:
    mine = None if row.unranked else worst_interval(row)
    if mine is None:
        return None
    rivals = (worst_interval(other) for other in rows if not other.unranked and other.group == row.group)
    return 1 + sum(rival is not None and rival[1] < mine[0] for rival in rivals)


def _order(row: Row) -> tuple[bool, bool, float]:
    value = None if row.main is None else row.main.value
    turned = 0.0 if value is None or row.main is None else value * _TURNS[row.main.better]
    return bool(row.unranked), value is None, turned


def _with_data(rows: Sequence[Row]) -> Iterable[Row]:
    """Rows that rest on the data's hash too, where all runs asked the same splits: only then is it of the same data."""
    if len({row.asked for row in rows if not row.unranked}) != 1:
        return rows
    return (replace(row, basis={**row.basis, "data": row.data[:8]}) for row in rows)


def _key(row: Row) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(row.basis.items()))


def _letters() -> Iterator[str]:
    yield from string.ascii_uppercase
    for first in string.ascii_uppercase:
        yield from (first + second for second in string.ascii_uppercase)


def _named_apart(rows: Sequence[Row]) -> Iterator[Row]:
    """Each row's name: the ref and what was put around it; for several of one name also the options that differ."""
    for row in rows:
        name = _wrapped(row)
        told = _told_apart(row.options, [other.options for other in rows if _wrapped(other) == name])
        yield replace(row, model=f"{name} ({told})" if told else name)


def _wrapped(row: Row) -> str:
    return " + ".join(part for part in (row.ref, row.strategy, "system prompt" if row.system else "") if part)


def _told_apart(mine: Mapping[str, str], all_options: Sequence[Mapping[str, str]]) -> str:
    names = dict.fromkeys(name for options in all_options for name in options)
    differing = [name for name in names if len({options.get(name, "") for options in all_options}) > 1]
    told = [f"{name}={mine.get(name) or 'unset'}" for name in differing if name != "identity"]
    if not told and differing:
        return f"identity {mine['identity']}"
    return ", ".join(told)


def _apart(rows: Sequence[Row]) -> Iterator[str]:
    """What differs between rows that are not ranked against each other."""
    bases = dict(sorted((row.group, row.basis) for row in rows if row.group))
    names = dict.fromkeys(name for basis in bases.values() for name in basis)
    told = [_differs(name, {group: basis.get(name, "") for group, basis in bases.items()}) for name in names]
    if any(told):
        yield f"Ranked apart, since they differ in {' and '.join(text for text in told if text)}."


def _differs(name: str, values: Mapping[str, str]) -> str:
    if len(set(values.values())) == 1:
        return ""
    told = (f"{group} {value or 'unset'}" for group, value in values.items())
    return f"{name} ({'; '.join(told)})"


def _remarks(split: str, rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        compared = (text for pairing in row.paired.values() for text in _compared(pairing, split, row))
        yield from (f"{row.model}: {remark}." for remark in (*_remarks_on(row), *compared))


def _remarks_on(row: Row) -> Iterator[str]:
    if row.unranked:
        yield f"not ranked: {row.unranked}{_bounds(row)}"
    if row.n_expected is not None and row.n != row.n_expected and row.subset is None:
        yield f"{row.n} samples, where {row.n_expected} are published"
    if row.main is not None and not row.unranked:
        yield from _stretched(row.main)
    if len(row.resolved) > 1:
        yield f"answered under several names ({', '.join(row.resolved)})"
    if "temperature" in row.settings and row.settings["temperature"] is None:
        yield "provider sampling (no temperature was set)"
    yield from (note.removesuffix(".") for note in row.noted)


def _bounds(row: Row) -> str:
    if row.main is None or not row.main.unresolved:
        return ""
    return f"; {row.main.name} of all records lies in {span(row.main.bounds, row.main.unit)}"


def _stretched(main: Measure) -> Iterator[str]:
    """The interval ranks use, where it differs from the one in the table."""
    worst = span(main.ci95_worst, main.unit)
    if worst != span(main.ci95, main.unit):
        yield f"{main.unresolved:g} unresolved, so {main.name} is ranked by {worst}"


def _compared(pairing: Mapping[str, Json], left: str, row: Row) -> Iterator[str]:
    """One comparison inside the task, for each metric it was made on."""
    units = {measure.name: measure.unit for measure in row.measures}
    matched = f"{pairing['pairs']} pairs, {pairing['unmatched']} unmatched"
    for metric in pairing:
        if metric not in ("pairs", "unmatched"):
            side: Mapping[str, Json] = pairing[metric]
            unit = units.get(metric, "%")
            values = f"{metric} {figure(side[left], unit)} against {figure(side['synthetic'], unit)} on its twins"
            yield f"{values}, difference {estimate(side['difference'], side['ci95'], unit)} ({matched})"
