"""The recorded draw of answers that people label, and which of their labels a corrected number may use.

An answer's cell is the label of the judge that the draw was made for, in the words of the split's metrics, or
`UNSCORED` if the judge gave none. Its place is a hash of the seed and its item. A draw of n takes equal numbers from
each cell, those with the smallest places; a cell with fewer gives all it has.

What must hold:

- Seed, judge, n and the cells decide the draw; nothing that a person says does.
- A larger n only adds answers, and the labels of a smaller draw stay usable.
- In each cell the usable labels are those of the smallest places, up to the first answer that nobody has labelled or
  skipped. So they are a random part of the cell also while people are still labelling.
- Unless the whole cell is labelled, none beyond the draw's share of the cell is usable. Labels may be left there by a
  draw with another judge, and where they happen to end depends on the answers, so they would bias the number.
- `SplitDraw.frame` is a digest of all answers and their cells. When it differs, answers or the judge's labels have
  changed since: nothing is corrected until the answers are drawn again.

`draw.json` in a task's folder keeps the draw of each split, with a digest of the entry, so that an edited one is
noticed. Older files have none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.keys import digest, text_hash
from harness.types import Json

SCHEMA: Final = "harness.draw/1"
FILE: Final = "draw.json"
LARGEST: Final = 2**63 - 1  #: seed and count in draw.json
UNSCORED: Final = "unscored"  #: cell of the answers that the judge could not label


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameAnswer:
    """An answer that may be drawn.

    Attributes:
        item: its name.
        cell: the judge's label, or `UNSCORED`.
        answer_hash: of its text.
    """

    item: str
    cell: str
    answer_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnFrame:
    """The answers of a split as its draw orders them.

    Attributes:
        cells: cell -> its items by place, from `order_cells`.
        n: of the draw.
    """

    cells: Mapping[str, Sequence[str]]
    n: int

    def find_usable(self, labelled: Collection[str], skipped: Collection[str] = ()) -> frozenset[str]:
        """The labelled items that are a random part of each cell.

        Args:
            labelled: items that somebody has labelled.
            skipped: items that somebody has skipped and nobody has labelled.
        """
        from harness.stats.correction import share_labels  # as in `draw_answers`

        usable: set[str] = set()
        shares = share_labels([len(items) for items in self.cells.values()], self.n)
        for items, share in zip(self.cells.values(), shares, strict=True):
            untried = (rank for rank, item in enumerate(items) if item not in labelled and item not in skipped)
            tried = list(items[: next(untried, len(items))])
            if len(tried) < len(items):
                tried = tried[:share]
            usable.update(item for item in tried if item in labelled)
        return frozenset(usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDraw:
    """The draw of one split.

    Attributes:
        seed: of the places.
        judge: id of the judge whose labels are the cells; empty if no judge had seen the answers.
        n: how many answers were asked for; a split with fewer gives all it has.
        cells: cell -> (its answers, how many of them are drawn).
        frame: digest of all answers and their cells.
    """

    seed: int
    judge: str
    n: int
    cells: Mapping[str, tuple[int, int]]
    frame: str

    def as_json(self) -> dict[str, Json]:
        """The split's entry in draw.json."""
        entry: dict[str, Json] = {
            "seed": self.seed,
            "judge": self.judge,
            "n": self.n,
            "cells": {name: {"answers": of, "drawn": drawn} for name, (of, drawn) in self.cells.items()},
            "frame": self.frame,
        }
        return {**entry, "digest": digest(entry)}

    def order_frame(self, answers: Sequence[FrameAnswer]) -> DrawnFrame | None:
        """These answers in the order of the draw; None if they or their cells are others than those it was made of."""
        if digest_frame(answers) != self.frame:
            return None
        return DrawnFrame(cells=order_cells(answers, self.seed), n=self.n)


def parse_draws(document: Any) -> dict[str, SplitDraw]:
    """Split -> its draw, from the content of a draw.json. Raises ValueError for another kind of document."""
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not {SCHEMA!r}")
        draws: dict[str, SplitDraw] = {}
        for name, entry in document["splits"].items():
            draw = SplitDraw(
                seed=_read_int(entry["seed"], -LARGEST),
                judge=str(entry["judge"]),
                n=_read_int(entry["n"], 1),
                cells={
                    str(cell): (_read_int(c["answers"], 0), _read_int(c["drawn"], 0))
                    for cell, c in entry["cells"].items()
                },
                frame=str(entry["frame"]),
            )
            if entry.get("digest", "") not in ("", draw.as_json()["digest"]):
                raise ValueError(f"this draw was edited: the entry of {name} does not fit its digest")
            draws[str(name)] = draw
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not a draw: {type(error).__name__} {error}") from None
    return draws


def _read_int(value: Any, least: int) -> int:
    """A whole number that the harness may have written. Raises ValueError for another value."""
    if type(value) is int and least <= value <= LARGEST:
        return value
    raise ValueError(f"it holds {str(value)[:30]!r}, where a whole number from {least} to {LARGEST} is expected")


def draws_as_json(draws: Mapping[str, SplitDraw]) -> dict[str, Json]:
    """The content of draw.json."""
    return {"schema": SCHEMA, "splits": {name: draw.as_json() for name, draw in draws.items()}}


def find_place(seed: int, item: str) -> str:
    """An answer's place in every draw with this seed."""
    return text_hash(f"label {seed} {item}")


def order_cells(answers: Iterable[FrameAnswer], seed: int) -> dict[str, list[str]]:
    """Cell -> its items by place; the cells in the order of their names."""
    cells: dict[str, list[str]] = {}
    for answer in answers:
        cells.setdefault(answer.cell, []).append(answer.item)
    return {name: sorted(cells[name], key=lambda item: find_place(seed, item)) for name in sorted(cells)}


def digest_frame(answers: Iterable[FrameAnswer]) -> str:
    """A digest of all answers and their cells, in any order."""
    return digest(sorted([each.item, each.cell, each.answer_hash] for each in answers))


def draw_answers(answers: Sequence[FrameAnswer], *, n: int, seed: int, judge: str) -> tuple[SplitDraw, tuple[str, ...]]:
    """Draw n answers in equal numbers from each cell.

    Returns:
        the draw, and its items in the order of labelling: the first of each cell, then the second of each, so that
        people who stop early have labelled all cells alike.
    """
    from harness.stats.correction import share_labels  # numpy: a run folder knows draws, and not every run draws

    cells = order_cells(answers, seed)
    shares = share_labels([len(items) for items in cells.values()], n)
    ranked = [
        (rank, find_place(seed, item), item)
        for items, share in zip(cells.values(), shares, strict=True)
        for rank, item in enumerate(items[:share])
    ]
    draw = SplitDraw(
        seed=seed,
        judge=judge,
        n=n,
        cells={name: (len(items), share) for (name, items), share in zip(cells.items(), shares, strict=True)},
        frame=digest_frame(answers),
    )
    return draw, tuple(item for _, _, item in sorted(ranked))
