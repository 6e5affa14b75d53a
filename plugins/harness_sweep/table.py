"""The tables of `harness sweep`: its units before, and its rows at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from harness.board.corrected import count_things
from harness.board.tables import WIDTH, print_drawing
from harness.runs.sweeping.plan import NONE
from harness.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from harness.runs.sweeping.grids import Grid
    from harness.runs.sweeping.plan import SweepPlan
    from harness.runs.sweeping.records import Row
    from harness.runs.sweeping.result import Sweep

_STYLES: Final = {
    "complete": "green",
    "incomplete": "yellow",
    "answered": "cyan",
    "pending": "cyan",
    "running": "cyan",
    "failed": "red",
    "interrupted": "yellow",
    "waiting": "dim",
}


def print_sweep(made: Sweep) -> None:
    """Print a row for each unit, and how many are in which state."""

    def draw(console: Console) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from harness.board.costs import format_cost
        from harness.board.display import format_duration

        table = Table(box=box.SIMPLE, pad_edge=False)
        table.add_column("unit", overflow="fold")
        table.add_column("state")
        table.add_column("main numbers", overflow="fold", ratio=1)
        table.add_column("$", justify="right")
        table.add_column("time", justify="right")
        for row in made.rows:
            table.add_row(
                Text(one_line(row.unit.name)),
                Text(row.state, style=_STYLES[row.state]),
                Text("\n".join(_list_lines(row)) or "—"),
                "—" if row.run is None else format_cost(row.run.cost_usd, row.run.cost_why),
                format_duration(row.seconds) if row.seconds else "—",
            )
        console.print(table)
        for grid in made.grids:
            _draw_grid(console, grid)
        counts = ", ".join(f"{count} {state}" for state, count in made.counts.items())
        dollars = "" if made.cost_usd is None else f"; ${made.cost_usd:.2f} in all"
        console.print(Text(f"{count_things(len(made.rows), 'unit')}: {counts}{dollars}"))

    print_drawing(draw, WIDTH)


def print_plan(plan: SweepPlan, rows: Sequence[Row]) -> None:
    """Print the units with their folders, GPUs and states."""

    def draw(console: Console) -> None:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE, pad_edge=False)
        for name in ("unit", "model", "state", "GPUs", "folder"):
            table.add_column(name, overflow="fold")
        for row in rows:
            unit = row.unit
            gpus = ("1 if any" if unit.local else "0") if unit.gpus is None else str(unit.gpus)
            table.add_row(
                Text(one_line(unit.name)),
                Text(one_line(unit.model)),
                Text(row.state, style=_STYLES[row.state]),
                gpus if unit.memory is None else f"{gpus} ({unit.memory:g} GB)",
                Text(str(unit.folder)),
            )
        console.print(table)
        judged = "answers first, then each judge once over all units" if plan.apart else "each unit judges as it goes"
        console.print(f"{count_things(len(rows), 'unit')} below {plan.output}; {judged}", markup=False, highlight=False)

    print_drawing(draw, WIDTH)


def _draw_grid(console: Console, grid: Grid) -> None:
    """Draw one metric of a split: a row for each strategy, a column for each attack, and each row's calls."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.board.display import format_count, format_estimate, format_head

    head = format_head(grid.metric, grid.unit, grid.better)
    title = one_line(f"{grid.model} · {grid.task}:{grid.split} · {head} · judge {grid.judge or 'none'}")
    table = Table(box=box.SIMPLE, pad_edge=False)
    crossed = grid.attacks != (NONE,)
    table.add_column("defence / attack" if crossed else "defence", overflow="fold")
    for attack in grid.attacks:
        table.add_column(one_line(attack) if crossed else head, justify="right")
    table.add_column("calls", justify="right")
    notes: list[str] = []
    changed = False
    for strategy in grid.strategies:
        cells = [grid.cells[strategy, attack] for attack in grid.attacks]
        shown: list[Text] = []
        for attack, cell in zip(grid.attacks, cells, strict=True):
            mark = "" if cell.complete or cell.value is None else " (incomplete)"
            text = Text(format_estimate(cell.value, cell.ci95, grid.unit) + mark)
            if cell.change is not None:
                sign = "+" if cell.change > 0 else ""
                text.append(f"\n{sign}{format_estimate(cell.change, cell.change_ci95, grid.unit)}", style="dim")
                changed = True
            shown.append(text)
            if cell.why:
                where = strategy if attack == NONE else f"{strategy}, {attack}"
                notes.append(one_line(f"{where}: {cell.why}", 200))
        calls = [cell.calls for cell in cells if cell.calls is not None]
        table.add_row(Text(one_line(strategy)), *shown, format_count(sum(calls)) if calls else "—")
    console.print(Text(title, style="bold"))
    console.print(table)
    if changed:
        legend = "second lines: paired difference from none above, or in the first row from none at its left"
        console.print(Text(f"  {legend if crossed else 'second lines: paired difference from none'}; unadjusted"))
    for note in notes:
        console.print(Text(f"  {note}", style="yellow"))
    console.print()


def _list_lines(row: Row) -> Iterator[str]:
    """The main number of each split, and why the unit is not complete."""
    from harness.board.display import format_estimate, format_head

    for number in row.run.numbers if row.run is not None else ():
        if not number.part:
            head = format_head(number.metric, number.unit, number.better)
            value = format_estimate(number.value, number.ci95, number.unit)
            mark = "" if number.complete else " (incomplete)"
            yield one_line(f"{number.task}:{number.split} {head} {value}{mark}")
    if row.why:
        code = "" if row.code in (None, 0, 130) else f" (exit {row.code})"
        yield one_line(f"{row.why}{code}", 200)
        if row.state == "failed" and row.log.exists():
            yield one_line(f"its output: {row.log}", 300)
