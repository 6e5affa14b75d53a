"""Which rows of one split may be compared with which, and how they are ranked.

Rows are ranked only within one class of comparability: the same judge (its rubric, template, settings and snapshot),
wording, task version, data and settings. Each class is a board of its own, which says what sets it apart. Subsets and
incomplete results stand in the class they would belong to and are never ranked. A rank is one more than the number of
rows whose whole interval is better, so rows that cannot be told apart share it. The interval is `ci95_worst`, which
covers what unresolved records could still have been.
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
_NAMED = 5  #: models in one remark; more are counted
_IN_THE_NAME = frozenset({"strategy", "system"})  #: cautions that the row's name tells already
_Basis = tuple[tuple[str, str], ...]


def ranked(board: Board) -> tuple[Board, ...]:
    """The rows of one split as a board for each class, named apart, ranked and sorted, with their notes.

    Args:
        board: all rows of the split, in the order of the results.
    """
    rows = [replace(row, unranked=_unranked(row)) for row in _named_apart(board.rows)]
    classes = _classes(list(_with_data(rows)))
    letters = dict(zip(classes, _letters(), strict=False)) if len(classes) > 1 else {}
    return tuple(
        _finished(replace(board, rows=tuple(members), group=letters.get(basis, ""), apart=_apart(basis, list(classes))))
        for basis, members in classes.items()
    )


def _finished(board: Board) -> Board:
    rows = sorted(board.rows, key=_order)
    placed = tuple(replace(row, rank=_rank(row, rows)) for row in rows)
    notes = dict.fromkeys((*_set_apart(board), *_remarks(board.split, placed)))  # two judges of a run may earn the same
    return replace(board, rows=placed, notes=tuple(notes))


def _classes(rows: Sequence[Row]) -> dict[_Basis, list[Row]]:
    """Basis -> its rows; the class with most ranked rows first."""
    found: dict[_Basis, list[Row]] = {}
    for row in sorted(rows, key=lambda row: len(_open(row))):
        mine = _key(row)
        home = (basis for basis in found if _without(basis, _open(row)) == _without(mine, _open(row)))
        found.setdefault(next(home, mine), []).append(row)
    return dict(sorted(found.items(), key=lambda each: -sum(not row.unranked for row in each[1])))


def _open(row: Row) -> frozenset[str]:
    """What of its basis says nothing: a subset has other samples, what nobody judged no judge, and some no hash."""
    part = row.subset is not None
    free = (("samples", part), ("data", part or "data" not in row.basis), ("judge", not row.judge.id))
    return frozenset(name for name, is_free in free if is_free)


def _without(basis: _Basis, names: frozenset[str]) -> _Basis:
    return tuple(pair for pair in basis if pair[0] not in names)


def _apart(mine: _Basis, every: Sequence[_Basis]) -> str:
    """What this basis has that not all have; empty where there is no other."""
    names = dict.fromkeys(name for basis in every for name, _ in basis)
    differing = [name for name in names if len({dict(basis).get(name, "") for basis in every}) > 1]
    return "; ".join(f"{name} {dict(mine).get(name) or 'unset'}" for name in differing)


def _set_apart(board: Board) -> Iterator[str]:
    if board.apart:
        yield f"Ranked apart from other results of this split, by: {board.apart}."


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
        return (row.main and row.main.why) or "nothing scored"
    if row.subset is not None:
        return f"subset ({_subset(row)})"
    if not row.complete:
        return f"incomplete (coverage {share(row.coverage)})"
    if row.main.better == "neither":
        return f"neither direction of {row.main.name} is better"
    return "" if worst_interval(row) is not None else "no interval"


def _rank(row: Row, rows: Sequence[Row]) -> int | None:
    mine = None if row.unranked else worst_interval(row)
    if mine is None:
        return None
    rivals = (worst_interval(other) for other in rows if not other.unranked)
    return 1 + sum(rival is not None and rival[1] < mine[0] for rival in rivals)


def _order(row: Row) -> tuple[bool, bool, float]:
    value = None if row.main is None else row.main.value
    turned = 0.0 if value is None or row.main is None else value * _TURNS[row.main.better]
    return bool(row.unranked), value is None, turned


def _with_data(rows: Sequence[Row]) -> Iterable[Row]:
    """Rows that rest on the data's hash too, where all runs asked the same splits: only then is it of the same data.

    What is not ranked rests on it only if it asked the same: the hash is over all that its run asked of the task.
    """
    asked = {row.asked for row in rows if not row.unranked}
    if len(asked) != 1:
        return rows
    return (replace(row, basis={**row.basis, "data": row.data[:8]}) if row.asked in asked else row for row in rows)


def _key(row: Row) -> _Basis:
    return tuple(sorted((name, value) for name, value in row.basis.items() if value))


def _letters() -> Iterator[str]:
    yield from string.ascii_uppercase
    for first in string.ascii_uppercase:
        yield from (first + second for second in string.ascii_uppercase)


def _named_apart(rows: Sequence[Row]) -> Iterator[Row]:
    """Each row's name: the ref, what was put around it, and what tells it from others of that name."""
    named = [replace(row, model=_with(_wrapped(row), _told_by_options(row, rows))) for row in rows]
    for row in named:
        twins = [other for other in named if (other.model, other.judge.id) == (row.model, row.judge.id)]
        yield replace(row, model=_with(row.model, _told_by_run(row, twins)))


def _with(name: str, told: str) -> str:
    return f"{name} ({told})" if told else name


def _told_by_options(row: Row, rows: Sequence[Row]) -> str:
    return _told_apart(row.options, [other.options for other in rows if _wrapped(other) == _wrapped(row)])


def _told_by_run(row: Row, twins: Sequence[Row]) -> str:
    """What tells runs of one model apart that were asked in one way: how much of the split, else when they ended."""
    for shown in (_subset, _finish):
        if len({shown(twin) for twin in twins}) > 1:
            return shown(row)
    return ""


def _finish(row: Row) -> str:
    return f"finished {row.finished}"


def _subset(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in (row.subset or {}).items())


def _wrapped(row: Row) -> str:
    return " + ".join(part for part in (row.ref, row.strategy, "system prompt" if row.system else "") if part)


def _told_apart(mine: Mapping[str, str], all_options: Sequence[Mapping[str, str]]) -> str:
    names = dict.fromkeys(name for options in all_options for name in options)
    differing = [name for name in names if len({options.get(name, "") for options in all_options}) > 1]
    told = [f"{name}={mine.get(name) or 'unset'}" for name in differing if name != "identity"]
    if not told and differing:
        return f"identity {mine['identity']}"
    return ", ".join(told)


def _remarks(split: str, rows: Sequence[Row]) -> Iterator[str]:
    """What is remarked on rows, row by row; what holds for several is said once."""
    models: dict[str, list[str]] = {}
    for row in rows:
        compared = (text for pairing in row.paired.values() for text in _compared(pairing, split, row))
        for remark in (*_remarks_on(row), *compared):
            models.setdefault(remark, []).append(row.model)
    yield from (f"{_several(list(dict.fromkeys(named)))}: {remark}." for remark, named in models.items())


def _several(names: Sequence[str]) -> str:
    left = len(names) - _NAMED
    return ", ".join(names) if left <= 1 else f"{', '.join(names[:_NAMED])} and {left} more"


def _remarks_on(row: Row) -> Iterator[str]:
    if row.unranked:
        yield f"not ranked: {row.unranked}{_bounds(row)}"
    if row.n_expected is not None and row.n != row.n_expected and row.subset is None:
        yield f"{row.n} samples, where {row.n_expected} are published"
    if row.main is not None and not row.unranked:
        yield from _stretched(row.main)
    yield from (caution.told for caution in row.cautions if caution.kind not in _IN_THE_NAME)
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
