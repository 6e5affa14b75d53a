"""Numbers that others published, as values to set beside measured ones; never mixed with them.

A task names a YAML file (`Task.published`), which may hold the tables of several tasks:

    sources:
      paper: {title: "…", url: "https://…", place: "Table 4", judge: "GPT-4o", note: "…"}
    tables:
      - source: paper
        task: mis                     # may be left out where the file is one task's
        metrics: [ASR, HR, RSR, RR]
        whole: true                   # the metrics of a row sum to 100
        n: {easy: 1675}               # samples of a split, of which each number is a percentage
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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from harness.contracts import Task
from harness.errors import BadData

_CLOSE: Final = 1e-9  # sums of decimals are a little off in binary


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
    except (OSError, yaml.YAMLError, RecursionError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"not a file of published rows: {type(error).__name__}: {error}", where=where) from error


def _table(task: str, table: Mapping[str, Any], source: PublishedSource) -> Iterator[PublishedRow]:
    metrics: Sequence[str] = table["metrics"]
    printed = _Printed.of(table)
    for model, splits in table["rows"].items():
        for split, raw in splits.items():
            row = _row(raw)
            values = dict(zip(metrics, map(float, row["values"]), strict=True))
            implied = {metric: _ratio(text) for metric, text in row.get("implied", {}).items()}
            yield PublishedRow(
                task=task,
                split=split,
                model=model,
                values=values,
                implied=implied,
                slips=tuple(printed.slips(split, values, implied)),
                note=row.get("note", ""),
                source=source,
            )


def _ratio(text: str) -> tuple[int, int]:
    numerator, denominator = text.split("/")
    return int(numerator), int(denominator)


def _row(raw: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", raw) if isinstance(raw, Mapping) else {"values": raw}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Printed:
    """How a table is printed, and what its numbers can be.

    Attributes:
        whole: the numbers of a row sum to 100.
        n: split -> samples.
        decimals: split -> most that any of its numbers has.
    """

    whole: bool
    n: Mapping[str, int]
    decimals: Mapping[str, int]

    @staticmethod
    def of(table: Mapping[str, Any]) -> _Printed:
        decimals: dict[str, int] = {}
        for splits in table["rows"].values():
            for split, raw in splits.items():
                decimals[split] = max(decimals.get(split, 0), *map(_decimals, _row(raw)["values"]))
        return _Printed(whole=table.get("whole", False), n=table.get("n", {}), decimals=decimals)

    def slips(self, split: str, values: Mapping[str, float], implied: Mapping[str, tuple[int, int]]) -> Iterator[str]:
        """What is wrong with a row."""
        n, unit = self.n.get(split), 10.0 ** -self.decimals[split]
        if self.whole:
            yield from _sum(values, _rounding(unit, n) * len(values))
        if n is not None:
            counted = {metric: value for metric, value in values.items() if metric not in implied}
            yield from _uncounted(counted, n, unit)
            yield from _fewer(implied, n)


def _decimals(value: object) -> int:
    return len(str(value).partition(".")[2])


def _rounding(unit: float, n: int | None) -> float:
    """Most that one printed percentage of n samples is off."""
    exact = n is not None and round(100 / unit) % n == 0
    return 0.0 if exact else unit / 2


def _sum(values: Mapping[str, float], allowed: float) -> Iterator[str]:
    total = sum(values.values())
    if abs(total - 100) > allowed + _CLOSE:
        yield f"sums to {total:g}, not 100"


def _uncounted(values: Mapping[str, float], n: int, unit: float) -> Iterator[str]:
    for metric, value in values.items():
        if abs(100 * round(value * n / 100) / n - value) > unit + _CLOSE:
            yield f"{metric} {value:g} is no k of {n}"


def _fewer(implied: Mapping[str, tuple[int, int]], n: int) -> Iterator[str]:
    for metric, (numerator, denominator) in implied.items():
        if denominator < n:
            yield f"{metric} is {numerator} of {denominator}, not of {n}"
