"""Numbers that others published, to show next to a board: unsorted, never ranked and never best.

A task names a YAML file (`Task.published`), which may hold the tables of several tasks:

    sources:
      paper: {title: "…", url: "https://…", place: "Table 4", judge: "GPT-4o", note: "…"}
    tables:
      - source: paper
        task: mis                     # may be left out where the file is one task's
        metrics: [ASR, HR, RSR, RR]
        whole: true                   # the metrics of a row sum to 100
        n: {easy: 1675}               # samples of a split, of which each number is a percentage; or metric -> samples
        rows:
          Model A: {easy: [92.90, 0.24, 6.69, 0.18]}
          Model B: {easy: {values: [18.57], implied: {ASR: 52/280}, note: "…"}}

Three things are marked as slips:

- Parts that do not sum to 100. Rounding may move each number by half of its last decimal, and at worst all of them one
  way: four numbers of two decimals may miss 100 by 0.02, five by 0.025, and no more. Where n is such that its
  percentages need no rounding (100 samples), nothing may be missed.
- A number more than one unit of its last decimal away from every k of n: no count of the split's samples gives it,
  rounded or cut. A number with an `implied` ratio is not looked at, since that says more:
- A ratio of fewer samples than the split has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.board.leaderboard import Board
from harness.contracts import Task
from harness.errors import BadData

_CLOSE: Final = 1e-9  # sums of decimals are a little off in binary


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSource:
    """Where a number was published.

    Attributes:
        title: of the paper or page.
        url: its address.
        place: in it: a table, with its numbers in other versions if they differ.
        judge: who judged, as the source says.
        note: what else a reader must know.
    """

    title: str
    url: str
    place: str = ""
    judge: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """What a source says of one model on one split.

    Attributes:
        task: name.
        split: of it.
        model: as the source names it.
        values: metric, under the name it has here -> number, as printed.
        implied: metric -> (numerator, denominator) that give the printed decimals; inferred, never printed.
        slips: what is wrong with the row; empty for none.
        note: what is special about it.
        source: where it was published.
    """

    task: str
    split: str
    model: str
    values: Mapping[str, float]
    implied: Mapping[str, tuple[int, int]]
    slips: tuple[str, ...]
    note: str
    source: PublishedSource


def published(task: Task) -> tuple[PublishedRow, ...]:
    """The published rows of a task, in the order of its file; none where it names no file.

    Raises:
        BadData: the file is not as described above.
    """
    if task.published is None:
        return ()
    where = str(task.published)
    import yaml

    try:
        whole: Any = yaml.safe_load(task.published.read_text(encoding="utf-8"))
        sources = {name: PublishedSource(**about) for name, about in whole["sources"].items()}
        tables = [table for table in whole["tables"] if table.get("task", task.name) == task.name]
        return tuple(row for table in tables for row in _read_table(task.name, table, sources[table["source"]]))
    except (OSError, yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"not a file of published rows: {type(error).__name__}: {error}", where=where) from error


def find_references(board: Board, tasks: Iterable[Task]) -> tuple[PublishedRow, ...]:
    """The published rows of a board's task and split, in the order of their file; none where its task is not loaded.

    A task whose settings are changed has none, nor has a board under an attack: the numbers are of another task. A file
    that cannot be read gives none here; `published` says what is wrong with it.

    Args:
        board: one class of a split; published rows belong to none and are shown with each.
        tasks: all that are offered.
    """
    if any(row.attack for row in board.rows):
        return ()
    found = next((task for task in tasks if task.name == board.task), None)
    try:
        rows = () if found is None or not re.fullmatch(r"[\w.-]+", board.task) else published(found)
    except BadData:
        return ()
    return tuple(row for row in rows if row.split == board.split)


def _read_table(task: str, table: Mapping[str, Any], source: PublishedSource) -> Iterator[PublishedRow]:
    metrics: Sequence[str] = table["metrics"]
    rows = [
        (model, split, cast("Mapping[str, Any]", raw if isinstance(raw, Mapping) else {"values": raw}))
        for model, splits in table["rows"].items()
        for split, raw in splits.items()
    ]
    decimals: dict[str, int] = {}  # split -> most that any of its numbers has
    for _, split, row in rows:
        decimals[split] = max(decimals.get(split, 0), *(len(str(value).partition(".")[2]) for value in row["values"]))
    for model, split, row in rows:
        values = dict(zip(metrics, map(float, row["values"]), strict=True))
        implied: dict[str, tuple[int, int]] = {}
        for metric, text in row.get("implied", {}).items():
            numerator, denominator = text.split("/")
            implied[metric] = int(numerator), int(denominator)
        given: Any = table.get("n", {}).get(split)
        sizes: Mapping[str, int] = {}
        if given is not None:
            sizes = cast("Mapping[str, int]", given if isinstance(given, Mapping) else dict.fromkeys(metrics, given))
        unit = 10.0 ** -decimals[split]
        yield PublishedRow(
            task=task,
            split=split,
            model=model,
            values=values,
            implied=implied,
            slips=tuple(_find_slips(values, implied, sizes=sizes, unit=unit, whole=table.get("whole", False))),
            note=row.get("note", ""),
            source=source,
        )


def _find_slips(
    values: Mapping[str, float],
    implied: Mapping[str, tuple[int, int]],
    *,
    sizes: Mapping[str, int],
    unit: float,
    whole: bool,
) -> Iterator[str]:
    """What is wrong with a row.

    Args:
        values: metric -> number, as printed.
        implied: metric -> (numerator, denominator).
        sizes: metric -> samples that it is a percentage of, where that is known.
        unit: of the last decimal.
        whole: the numbers sum to 100.
    """
    if whole:
        # percentages of so many samples that they need no rounding
        is_exact = bool(sizes) and all(round(100 / unit) % n == 0 for n in sizes.values())
        total, allowed = sum(values.values()), (0.0 if is_exact else unit / 2) * len(values)
        if abs(total - 100) > allowed + _CLOSE:
            yield f"sums to {total:g}, not 100"
    for metric, value in values.items():
        n = sizes.get(metric)
        if n is not None and metric not in implied and abs(100 * round(value * n / 100) / n - value) > unit + _CLOSE:
            yield f"{metric} {value:g} is no k of {n}"
    for metric, (numerator, denominator) in implied.items():
        n = sizes.get(metric)
        if n is not None and denominator < n:
            yield f"{metric} is {numerator} of {denominator}, not of {n}"
