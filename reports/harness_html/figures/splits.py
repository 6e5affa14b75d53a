"""The splits of one task side by side, a panel for each, where they have the same main number: easy, hard, real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from harness.board.values import Board, Row

from . import told
from .dots import STEP, whiskers
from .entries import MOST, Entry, arrow, entries, scale
from .names import apart, shown, slug
from .pairs import Key, identity
from .plots import Spec, layer, step
from .values import Draft, Table

_WIDTH: Final = 540  #: px, of all panels together
_LEAST: Final = 110  #: px, of one panel
_PANELS: Final = 6  #: splits in one figure
_OF_A_SPLIT: Final = frozenset({"samples", "data"})  #: what of the basis splits of one task may differ in


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """One split of a task in one class of comparability.

    Attributes:
        name: of the split, with its letter.
        found: model -> its entry, best first.
    """

    name: str
    found: Mapping[Key, Entry]


def drafts(boards: Sequence[Board]) -> Iterator[Draft]:
    """A figure for each task with several splits that are alike in main number, judge and settings."""
    pooled = {(board.task, board.part_of) for board in boards if board.part_of}
    families: dict[tuple[str, ...], list[Sibling]] = {}
    for board in boards:
        made = entries(board)
        if made and (board.task, board.split) not in pooled and any(each.row.primary for each in made):
            first = made[0]
            kind = (board.task, first.reading.label, first.reading.better, first.reading.unit, *_alike(first.row))
            families.setdefault(kind, []).append(_sibling(board, made))
    for (task, *_), siblings in families.items():
        if len({sibling.name for sibling in siblings}) > 1:
            yield _draft(task, siblings[:_PANELS], len(siblings))


def _sibling(board: Board, made: Sequence[Entry]) -> Sibling:
    letter = f" ({board.group})" if board.group else ""
    return Sibling(name=f"{shown(board.split)}{letter}", found={identity(each.row): each for each in made})


def _alike(row: Row) -> Key:
    return tuple(f"{name} {value}" for name, value in sorted(row.basis.items()) if name not in _OF_A_SPLIT)


def _models(siblings: Sequence[Sibling]) -> list[Key]:
    """Best first, by the mean over the splits each was measured on; those on more splits stand first."""

    def order(key: Key) -> tuple[int, float]:
        found = [sibling.found[key].reading for sibling in siblings if key in sibling.found]
        mean = fmean(reading.value for reading in found)
        return -len(found), mean if found[0].better == "lower" else -mean

    return sorted(dict.fromkeys(key for sibling in siblings for key in sibling.found), key=order)


def _draft(task: str, siblings: Sequence[Sibling], there: int) -> Draft:
    every = _models(siblings)
    models = every[:MOST]
    drawn = [sibling.found[key] for sibling in siblings for key in models if key in sibling.found]
    names = _names(models, siblings)
    sizes = [f"{each.name} {told.samples(entry.row for entry in each.found.values())}" for each in siblings]
    first = drawn[0].reading
    return Draft(
        name=slug("splits", task),
        title=f"{shown(first.label)} on the splits of {shown(task, 60)}",
        told=told.sentence(
            f"{arrow(first)} of {told.count(len(models), 'model')} on {told.count(len(siblings), 'split')} of "
            f"{shown(task, 60)} ({', '.join(sizes)}), {told.direction(first.better)}",
            told.judged([each.row for each in drawn]),
            told.intervals(each.reading for each in drawn),
            told.unranked([each.row for each in drawn]),
            told.more(len(models), len(every)),
            told.more(len(siblings), there, "split"),
        ),
        chart=_chart(siblings, models, names, arrow(first)),
        table=_table(siblings, models, names),
    )


def _names(models: Sequence[Key], siblings: Sequence[Sibling]) -> list[str]:
    held = (next(sibling.found[key] for sibling in siblings if key in sibling.found) for key in models)
    return apart(entry.row.model for entry in held)


def _chart(siblings: Sequence[Sibling], models: Sequence[Key], names: Sequence[str], title: str) -> Spec:
    ends = scale(entry.reading for sibling in siblings for entry in sibling.found.values())
    width = max(_LEAST, _WIDTH // len(siblings))
    panels = [
        layer(
            *whiskers(_data(sibling, models, names), names, title, ends, named=place == 0),
            width=width,
            height=step(STEP),
            title={"text": sibling.name, "limit": width},
        )
        for place, sibling in enumerate(siblings)
    ]
    return {"hconcat": panels, "spacing": 18}


def _data(sibling: Sibling, models: Sequence[Key], names: Sequence[str]) -> list[Mapping[str, Any]]:
    return [
        {
            "name": name,
            "low": found.reading.low,
            "high": found.reading.high,
            "value": found.reading.value,
            "colour": found.colour,
            "fill": found.fill,
        }
        for name, key in zip(names, models, strict=True)
        if (found := sibling.found.get(key)) is not None
    ]


def _table(siblings: Sequence[Sibling], models: Sequence[Key], names: Sequence[str]) -> Table:
    rows = (
        (name, *(sibling.found[key].text if key in sibling.found else "" for sibling in siblings))
        for name, key in zip(names, models, strict=True)
    )
    return (("Model", *(sibling.name for sibling in siblings)), *rows)
