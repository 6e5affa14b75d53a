"""What a sweep with axes shows: for each model and split one metric, defence by attack.

A grid is of one judge: a run that another judge has read, or that lacks the metric, leaves its cell empty and says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.board.display import format_interval, format_value
from harness.board.results import FILE, read_results
from harness.errors import HarnessError
from harness.matrix import Matrix, MatrixCell, MatrixColumn, MatrixNote, MatrixRow
from harness.metrics import Better
from harness.runs.sweeping.plan import NONE, SweepPlan
from harness.runs.sweeping.records import Row
from harness.types import Json

_INCOMPLETE: Final = MatrixNote(mark="a", text="Incomplete: too few of its samples are resolved.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number of a grid.

    Attributes:
        value: the metric; None if there is none.
        ci95: its interval.
        n: samples of the split.
        calls: of the model, for all splits of its run; None if unknown.
        complete: whether enough of the split is resolved.
        why: why there is no number; empty if there is one.
        change: what the defence changes under this attack, or without a defence the attack: the paired difference from
            the cell above it with `none`, or from that left of it; None if there is no such cell, or none of both.
        change_ci95: its interval.
    """

    value: float | None = None
    ci95: tuple[float, float] | None = None
    change: float | None = None
    change_ci95: tuple[float, float] | None = None
    n: int = 0
    calls: int | None = None
    complete: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One metric of a split of one model.

    Attributes:
        model: its name in the sweep.
        task: the task's displayed name.
        split: the split.
        judge: whose labels are counted; empty for none.
        metric: the metric's name.
        unit: `%` or `0-1`.
        better: which direction is good.
        strategies: the rows.
        attacks: the columns.
        cells: (strategy, attack) -> number.
    """

    model: str
    task: str
    split: str
    judge: str
    metric: str
    unit: str
    better: Better
    strategies: tuple[str, ...]
    attacks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    def as_json(self) -> dict[str, Json]:
        """The grid in sweep.json."""
        return {
            "model": self.model,
            "task": self.task,
            "split": self.split,
            "judge": self.judge or None,
            "metric": self.metric,
            "unit": self.unit,
            "better": self.better,
            "strategies": list(self.strategies),
            "attacks": list(self.attacks),
            "cells": [
                {
                    "strategy": strategy,
                    "attack": attack,
                    "value": cell.value,
                    "ci95": None if cell.ci95 is None else list(cell.ci95),
                    "change": cell.change,
                    "change_ci95": None if cell.change_ci95 is None else list(cell.change_ci95),
                    "n": cell.n,
                    "calls": cell.calls,
                    "complete": cell.complete,
                    "why": cell.why or None,
                }
                for strategy in self.strategies
                for attack in self.attacks
                for cell in [self.cells[strategy, attack]]
            ],
        }


def build_grids(plan: SweepPlan, rows: Sequence[Row]) -> tuple[Grid, ...]:
    """The grids of a sweep as it stands: models in the file's order, and splits in that of their results."""
    if not plan.strategies and not plan.attacks:
        return ()
    grids: list[Grid] = []
    for model in dict.fromkeys(row.unit.source for row in rows):
        own = {(row.unit.strategy or NONE, row.unit.attack or NONE): row for row in rows if row.unit.source == model}
        read = {place: results for place, row in own.items() if (results := _read(row)) is not None}
        changes = _compare({place: own[place].unit.folder for place in read})
        splits = dict.fromkeys(split for results in read.values() for split in _list_splits(results))
        grids += [_build_grid(plan, model, task, name, own, read, changes) for task, name in splits]
    return tuple(grids)


#: (strategy, attack) -> (task, split, metric) -> the paired difference and its interval
_Changes = Mapping[tuple[str, str], Mapping[tuple[str, str, str], tuple[float, tuple[float, float] | None]]]


def _compare(folders: Mapping[tuple[str, str], Path]) -> _Changes:
    """What each defence changes under its attack, and what each attack changes without a defence."""
    from harness.runs.comparing.compare import compare

    found: dict[tuple[str, str], dict[tuple[str, str, str], tuple[float, tuple[float, float] | None]]] = {}
    for (strategy, attack), folder in folders.items():
        base = folders.get((NONE, attack) if strategy != NONE else (NONE, NONE))
        if base is None or base == folder:
            continue
        try:
            compared = compare(base, folder)
        except HarnessError:
            continue  # the runs were measured differently, or have no question in common
        found[strategy, attack] = {
            (split.task, split.split, metric): (change.paired.difference, change.paired.ci95)
            for split in compared.splits
            for metric, change in split.changes.items()
            if change.paired.difference is not None
        }
    return found


def build_matrix(grids: Sequence[Grid]) -> Matrix:
    """The grids as one paper table: a row for each strategy of each model, a column for each attack on each split."""
    splits = list(dict.fromkeys((grid.task, grid.split, grid.metric) for grid in grids))
    placed = {(grid.model, grid.task, grid.split, grid.metric): grid for grid in grids}
    models = list(dict.fromkeys(grid.model for grid in grids))
    strategies, attacks = (grids[0].strategies, grids[0].attacks) if grids else ((), ())
    columns: list[MatrixColumn] = []
    for task, split, metric in splits:
        grid = next(each for each in grids if (each.task, each.split, each.metric) == (task, split, metric))
        head = f"{metric} {'%' if grid.unit == '%' else ''}".strip()
        for attack in attacks:
            crossed = attacks != (NONE,)
            columns.append(
                MatrixColumn(
                    group=f"{task}:{split}" if crossed else "",
                    over=head if crossed else f"{task}:{split}",
                    head=attack if crossed else head,
                    task=task,
                    split=split,
                    metric=metric,
                    unit=grid.unit,
                    better=grid.better,
                    judge=grid.judge,
                )
            )
    rows: list[MatrixRow] = []
    for model in models:
        for number, strategy in enumerate(strategies):
            cells: list[MatrixCell] = []
            for task, split, metric in splits:
                found = placed.get((model, task, split, metric))
                cells += [_fill(None if found is None else found.cells[strategy, attack], found) for attack in attacks]
            section = model if number == 0 and len(models) > 1 else ""
            rows.append(MatrixRow(name=strategy, model=model, section=section, cells=tuple(cells)))
    judges = list(dict.fromkeys(grid.judge for grid in grids if grid.judge))
    facts = [f"Model: {models[0]}."] if len(models) == 1 else []
    facts += [f"Judged by {', '.join(judges)}."] if judges else []
    facts.append("Brackets: 95% interval. A dash: no number; sweep.json says why.")
    open_ = any(not cell.complete and cell.value is not None for grid in grids for cell in grid.cells.values())
    return Matrix(
        title="Defences and attacks" if attacks != (NONE,) else "Defences",
        label="defences",
        columns=tuple(columns),
        rows=tuple(rows),
        facts=tuple(facts),
        notes=(_INCOMPLETE,) if open_ else (),
    )


def _fill(cell: Cell | None, grid: Grid | None) -> MatrixCell:
    if cell is None or grid is None or cell.value is None:
        return MatrixCell()
    marks = () if cell.complete else (_INCOMPLETE,)
    return MatrixCell(
        notes=tuple(note.mark for note in marks),
        told=tuple(note.text for note in marks),
        number=format_value(cell.value, grid.unit),
        interval=format_interval(cell.ci95, grid.unit),
        value=cell.value,
        ci95=cell.ci95,
    )


def _build_grid(
    plan: SweepPlan,
    model: str,
    task: str,
    name: str,
    rows: Mapping[tuple[str, str], Row],
    read: Mapping[tuple[str, str], Mapping[str, Any]],
    changes: _Changes,
) -> Grid:
    strategies, attacks = plan.strategies or (NONE,), plan.attacks or (NONE,)
    first: Mapping[str, Any] | None = None
    metric = ""
    cells: dict[tuple[str, str], Cell] = {}
    for place in [(strategy, attack) for strategy in strategies for attack in attacks]:
        results = read.get(place, {})
        split: Mapping[str, Any] | None = results.get("tasks", {}).get(task, {}).get("splits", {}).get(name)
        if split is None:
            row = rows.get(place)
            why = "it is not among the units of this command" if row is None else row.why or row.state
            cells[place] = Cell(why=why)
            continue
        metrics: Mapping[str, Any] = split["metrics"]
        if first is None:
            main = next((each for each, body in metrics.items() if body.get("main")), next(iter(metrics), ""))
            first, metric = split, plan.metric or main
        figures: Mapping[str, Any] | None = metrics.get(metric)
        if figures is None:
            cells[place] = Cell(why=f"it has no metric {metric}")
        elif split.get("judge") != first.get("judge"):
            cells[place] = Cell(why=f"its judge is {split.get('judge')}")
        else:
            value, ends = figures["value"], figures.get("ci95")
            usage: Mapping[str, Mapping[str, Any]] = results.get("usage") or {}
            calls = (usage.get("model") or {}).get("calls")
            change = changes.get(place, {}).get((task, name, metric), (None, None))
            difference, difference_ends = (None, None) if value is None else change
            cells[place] = Cell(
                value=value,
                ci95=None if ends is None else (ends[0], ends[1]),
                change=difference,
                change_ci95=difference_ends,
                n=split["n"],
                calls=calls if isinstance(calls, int) else None,
                complete=split["complete"],
                why="" if value is not None else str(figures.get("why") or "it has no value"),
            )
    told: Mapping[str, Any] = {} if first is None else first["metrics"].get(metric, {})
    return Grid(
        model=model,
        task=task,
        split=name,
        judge="" if first is None else str(first.get("judge") or ""),
        metric=metric,
        unit=str(told.get("unit", "%")),
        better=told.get("better", "neither"),
        strategies=strategies,
        attacks=attacks,
        cells=cells,
    )


def _read(row: Row) -> Mapping[str, Any] | None:
    """The results of a unit that was asked what the sweep asks now; None if it has none."""
    if row.state not in ("complete", "incomplete") or not (row.unit.folder / FILE).is_file():
        return None
    try:
        return read_results(row.unit.folder / FILE)
    except HarnessError:
        return None


def _list_splits(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The splits that are no part of a pooled one."""
    for task, about in results["tasks"].items():
        pooled = {part for split in about["splits"].values() for part in split.get("parts") or ()}
        yield from ((task, name) for name in about["splits"] if name not in pooled)
