"""The page's glossary: what each metric, label, flag, task and column means, each once, with an anchor.

The words come from the results and from the loaded plugins, so that a stranger's task is explained as well. What a
plugin does not describe is said to be so. Plugins are strangers: what one raises here is as if it said nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from harness import HarnessError, Split, Task, plugins
from harness.board import words
from harness.board.bibtex import describe_paper
from harness.board.leaderboard import Board
from harness.board.rows import JudgeNote
from harness.contracts import BUILT
from harness.data.places import data_folder
from harness.settings import effective
from harness.text import one_line

_KINDS: Final = ("Metrics", "Labels", "Flags and marks", "Columns", "Benchmarks")
_LONGEST: Final = 600  #: characters of a definition that a stranger wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An entry of the glossary.

    Attributes:
        anchor: the id of its definition.
        name: the word.
        text: what it means.
        places: where it is used, if the word may mean something else there.
    """

    anchor: str
    name: str
    text: str
    places: list[str] = field(default_factory=list[str])


class Glossary:
    """Collects the terms of a page while its tables are built."""

    def __init__(self) -> None:
        self._terms: dict[tuple[str, str, str], Term] = {}

    def add(self, kind: str, name: str, text: str, place: str = "") -> Term:
        """The entry for a word of this meaning; a new one if there is none yet."""
        name, text = one_line(name), one_line(text, _LONGEST)
        key = (kind, name, text)
        term = self._terms.get(key)
        if term is None:
            term = self._terms[key] = Term(anchor=f"term-{len(self._terms) + 1}", name=name, text=text)
        if place and place not in term.places:
            term.places.append(place)
        return term

    def groups(self) -> list[tuple[str, list[Term]]]:
        """The entries by kind; kinds without one are left out."""
        found = [(kind, [term for key, term in self._terms.items() if key[0] == kind]) for kind in _KINDS]
        return [(kind, sorted(terms, key=lambda term: term.name.casefold())) for kind, terms in found if terms]

    def metric(self, name: str, definition: str, unit: str, better: str, place: str) -> Term:
        """What a metric counts, its unit and direction."""
        return self.add("Metrics", name, words.describe_metric(definition, unit, better), place)

    def label(self, name: str, meaning: str, place: str) -> Term:
        """What an answer with a label is like; the label is the word that metrics count, a judge may have another."""
        return self.add("Labels", name, meaning or words.UNDESCRIBED, place)

    def flag(self, kind: str) -> Term:
        """When a row has a flag."""
        return self.add("Flags and marks", kind.replace("_", " "), words.FLAGS.get(kind, words.UNDESCRIBED))

    def mark(self, name: str) -> Term:
        """When a number has a mark."""
        return self.add("Flags and marks", f"{name} (2nd)" if name == "second" else name, words.MARKS[name])

    def fact(self, name: str) -> Term:
        """What a column holds."""
        return self.add("Columns", name, words.FACTS.get(name) or words.RANK_RULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNote:
    """What the loaded plugins say of a board's task.

    Attributes:
        description: a sentence; `not described by its plugin` if there is none.
        paper: authors, year, title and address of its paper; empty if unknown.
        licence: of its data; empty if unknown.
        topic: what the split asks about; empty if unknown.
        definitions: metric -> what it counts.
        meanings: label, in the split's words -> what an answer with it is like.
    """

    description: str
    paper: str = ""
    licence: str = ""
    topic: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict[str, str])
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])


def describe_task(board: Board, tasks: Sequence[Task]) -> TaskNote:
    """What a board's task is, of the loaded tasks; the board's own records come before what its plugin says now."""
    name = re.split(r"[ :(]", board.task.partition(BUILT)[0])[0]
    task = next((each for each in tasks if each.name == name), None)
    split = None if task is None else _find_split(task, board.split)
    description = words.UNDESCRIBED if task is None else one_line(task.description, _LONGEST) or words.UNDESCRIBED
    if split is not None and (own := one_line(split.description, _LONGEST)):
        description = own
    if BUILT in board.task:
        description = (
            f"Questions of one's own, built in the layout of {name}, and not that benchmark. {name}: {description}"
        )
    source = (split.source if split is not None else None) or (task.source if task is not None else None)
    judges = {row.judge.id: row.judge for row in board.rows if row.judge.id}
    meanings: dict[str, str] = {}
    for judge in judges.values():
        for label, meaning in _read_meanings(judge, split).items():
            if label not in meanings or not meanings[label]:
                meanings[label] = meaning
    return TaskNote(
        description=description if description.endswith((".", "!", "?", "…")) else f"{description}.",
        paper="" if task is None or task.paper is None else one_line(describe_paper(task.paper), _LONGEST),
        licence=next((row.licence for row in board.rows if row.licence), "") or (source.licence if source else ""),
        topic=board.topic or (split.group or "" if split is not None else ""),
        definitions={} if split is None else {metric.name: metric.description for metric in split.metrics},
        meanings=meanings,
    )


def describe_benchmark(task: TaskNote) -> list[str]:
    """What a benchmark is, in sentences: what it asks, its paper, its licence."""
    paper = f"Paper: {task.paper}." if task.paper else "Paper: none is named."
    return [task.description, paper, f"Licence of its data: {task.licence or 'none is named'}."]


def _find_split(task: Task, name: str) -> Split | None:
    with suppress(HarnessError, OSError, LookupError, TypeError, ValueError):
        splits = task.splits
        if callable(splits):
            splits = splits(effective(task.settings, {}, owner=f"task {task.name}"), data_folder(None) / task.name)
        return splits[name]
    return None


def _read_meanings(judge: JudgeNote, split: Split | None) -> Mapping[str, str]:
    """A judge's labels in the split's words, each with its meaning: as the run recorded it, else as its plugin says."""
    own: Mapping[str, str] = judge.meanings
    if not any(own.values()) and judge.name:
        with suppress(HarnessError, OSError, LookupError, TypeError, ValueError):
            found = plugins.current().judge(judge.name)
            rubric = found.open(
                effective(found.settings, {}, owner=f"judge {found.name}"), data_folder(None) / found.name
            )
            own = {label: rubric.meanings.get(label, "") for label in (*rubric.labels, *own)}
    translation: Mapping[str, str] = {} if split is None else split.judges.get(judge.name) or {}
    meanings: dict[str, str] = {}
    for label, meaning in own.items():
        word = translation.get(label, label)
        if word != label:
            meaning = f"The judge {judge.name} says “{label}”{f': {meaning}' if meaning else ''}"
        if word in meanings and meaning and meaning != meanings[word]:
            meaning = f"{meanings[word]} Or: {meaning}" if meanings[word] else meaning
        meanings[word] = meaning or meanings.get(word, "")
    return meanings
