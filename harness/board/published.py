"""Numbers that others published, as values to set beside measured ones; never mixed with them.

A task names a YAML file (`Task.published`), which may hold the tables of several tasks:

    sources:
      paper: {title: "…", url: "https://…", place: "Table 4", judge: "GPT-4o", note: "…"}
    tables:
      - source: paper
        task: mis                     # may be left out where the file is one task's
        metrics: [ASR, HR, RSR, RR]
        whole: true                   # the metrics of a row sum to 100
        n: {easy: 1675}               # samples of a split
        rows:
          Model A: {easy: [92.90, 0.24, 6.69, 0.18]}
          Model B: {easy: {values: [18.57], implied: {ASR: 52/280}, note: "…"}}

A row whose parts do not sum to 100, or which was divided by fewer samples than its split has, is marked as a slip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from harness.contracts import Task
from harness.errors import BadData

ROUNDED = 0.0051  #: most that one number of two decimals is off


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSource:
    """Where a number stands.

    Attributes:
        title: of the paper or page.
        url: of it.
        place: in it: a table, with its number in other versions where it has another.
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
        slips: what is wrong with the row; empty for a row that holds.
        note: what is special about it.
        source: where it stands.
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
        return tuple(row for table in tables for row in _table(task.name, table, sources[table["source"]]))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"not a file of published rows: {type(error).__name__}: {error}", where=where) from error


def _table(task: str, table: Mapping[str, Any], source: PublishedSource) -> Iterator[PublishedRow]:
    metrics: Sequence[str] = table["metrics"]
    for model, splits in table["rows"].items():
        for split, raw in splits.items():
            row = cast("Mapping[str, Any]", raw) if isinstance(raw, Mapping) else {"values": raw}
            values = dict(zip(metrics, map(float, row["values"]), strict=True))
            implied = {metric: _ratio(text) for metric, text in row.get("implied", {}).items()}
            n = table.get("n", {}).get(split)
            yield PublishedRow(
                task=task,
                split=split,
                model=model,
                values=values,
                implied=implied,
                slips=(*_sum(values, whole=table.get("whole", False)), *_fewer(implied, n)),
                note=row.get("note", ""),
                source=source,
            )


def _ratio(text: str) -> tuple[int, int]:
    numerator, denominator = text.split("/")
    return int(numerator), int(denominator)


def _sum(values: Mapping[str, float], *, whole: bool) -> Iterator[str]:
    total = sum(values.values())
    if whole and abs(total - 100) > ROUNDED * len(values):
        yield f"sums to {total:g}, not 100"


def _fewer(implied: Mapping[str, tuple[int, int]], n: int | None) -> Iterator[str]:
    for metric, (numerator, denominator) in implied.items():
        if n is not None and denominator < n:
            yield f"{metric} is {numerator} of {denominator}, not of {n}"
