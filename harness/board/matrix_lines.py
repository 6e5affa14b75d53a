"""Rows of the paper table before they have numbers: which runs are of one model, and which rows a template wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final

from harness.board.leaderboard import Board, name_apart
from harness.board.matrix_template import MatrixTemplate
from harness.board.published import PublishedRow, published
from harness.board.rows import JudgeNote, Row
from harness.board.suites import Mean, means
from harness.contracts import Results, Task
from harness.errors import BadData, UnknownName
from harness.keys import canonical
from harness.settings import nearest

_SHOWN: Final = 4  #: models in one part of a sentence; more are counted

References = Mapping[str, Mapping[tuple[str, str], PublishedRow]]  #: model as published -> (task, split) -> its row


@dataclass(slots=True, kw_only=True)
class Line:
    """One model: its runs, and what they have of each split.

    Attributes:
        key: what runs of one model share; empty for a published model.
        rows: title of a board -> the rows on it, each with the number of its board, the run's own judge first.
        means: of suites.
        name: as a run or a publication names it.
        shown: its name in the table, where the user gave one.
        section: the heading above it; empty where none begins.
        named: the template names it.
        published: (task, split) -> the row that others published; None for a model of the runs.
    """

    key: str = ""
    rows: dict[str, list[tuple[int, Row]]] = field(default_factory=dict[str, list[tuple[int, Row]]])
    means: list[Mean] = field(default_factory=list[Mean])
    name: str = ""
    shown: str = ""
    section: str = ""
    named: bool = False
    published: Mapping[tuple[str, str], PublishedRow] | None = None

    @property
    def label(self) -> str:
        """Its name in the table."""
        return self.shown or self.name


def list_lines(results: Sequence[Results], boards: Sequence[Board]) -> list[Line]:
    """One line for each model; a second run of what a model has already begins another.

    Args:
        results: of the runs.
        boards: of these results.
    """
    held: list[dict[str, list[tuple[int, Row]]]] = [{} for _ in results]
    for number, board in enumerate(boards):
        for row in board.rows:
            held[row.run].setdefault(board.title, []).append((number, row))
    lines: list[Line] = []
    for result, rows in zip(results, held, strict=True):
        model = result["model"]
        key = canonical([model["ref"], model["identity"], model.get("strategy"), model.get("seeds")])
        home = next((line for line in lines if line.key == key and not line.rows.keys() & rows.keys()), None)
        if home is None:
            lines.append(home := Line(key=key))
        home.rows |= {title: sorted(found, key=lambda each: not each[1].primary) for title, found in rows.items()}
        home.means += means([result])
    lines = [line for line in lines if line.rows]
    first = [next(iter(line.rows.values()))[0][1] for line in lines]
    named = name_apart([replace(row, model=row.ref, judge=JudgeNote()) for row in first])
    for line, row in zip(lines, named, strict=True):
        line.name = row.model
    return lines


def read_references(template: MatrixTemplate, tasks: Mapping[str, Task]) -> References:
    """The published rows of the tasks that the columns name; none where the template wants no published row."""
    found: dict[str, dict[tuple[str, str], PublishedRow]] = {}
    if not any(choice.published for choice in template.rows):
        return found
    for choice in template.columns:
        task, _, split = choice.title.partition(":")
        known = tasks.get(task.partition("+")[0])
        if not choice.suite and known is not None:
            for row in published(known):
                if row.split == (split or "all"):
                    found.setdefault(row.model, {}).setdefault((row.task, row.split), row)
    return found


def choose_lines(template: MatrixTemplate, every: list[Line], references: References) -> list[Line]:
    """The lines that a template wants, in its order and with its names.

    Raises:
        UnknownName: neither a run nor a publication has a model that it names.
        BadData: several rows would have one name.
    """
    if not template.rows:
        return every
    chosen: list[Line] = []
    where, taken = template.where, set[int]()
    for choice in template.rows:
        if choice.published:
            names = [name for name in references if _matches(choice.pattern, name)]
            if not names:
                remedy = "no number is published for the tasks of these columns"
                remedy = nearest(choice.pattern, references) if references else remedy
                raise UnknownName(f"no published row is called {choice.pattern!r}", where=where, remedy=remedy)
            lines = [Line(name=name, published=references[name]) for name in names]
        else:
            matching = [
                (number, line)
                for number, line in enumerate(every)
                if _matches(choice.pattern, line.name)
                or any(_matches(choice.pattern, row.ref) for found in line.rows.values() for _, row in found)
            ]
            if not matching:
                remedy = nearest(choice.pattern, [line.name for line in every])
                raise UnknownName(f"no run's model is called {choice.pattern!r}", where=where, remedy=remedy)
            lines = [line for number, line in matching if number not in taken]
            taken |= {number for number, _ in matching}
        if choice.name and len(lines) > 1:
            told = f"{choice.pattern!r} names {len(lines)} rows, which cannot all be called {choice.name!r}"
            remedy = f"give each its own name: {', '.join(line.name for line in lines[:_SHOWN])}"
            raise BadData(told, where=where, remedy=remedy)
        for place, line in enumerate(lines):
            line.named = True
            line.shown, line.section = choice.name, "" if place else choice.section
        chosen += lines
    if template.other_rows:
        chosen += [line for number, line in enumerate(every) if number not in taken]
    return chosen


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)


def name_some(names: Sequence[str]) -> str:
    """The first names in a sentence, and how many more there are: `a, b, c, d and 3 more`."""
    left = len(names) - _SHOWN
    return ", ".join(names) if left < 1 else f"{', '.join(names[:_SHOWN])} and {left} more"
