"""The command `harness runs`: its flags and its table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from harness.cli.flags import Names, tasks_option
from harness.cli.options import load_host, plugin_options, show_examples
from harness.errors import UnknownName
from harness.settings import nearest
from harness.text import one_line, say

if TYPE_CHECKING:
    from harness.runs.catalog import ListedRun, MainNumber

_DEPTH: Final = 4
_SORTS: Final = ("when", "folder", "model", "state", "dollars", "value")
_STYLES: Final = {
    "complete": "green",
    "incomplete": "yellow",
    "running": "cyan",
    "pending": "cyan",
    "failed": "red",
    "unreadable": "red",
}
_WIDTH: Final = 160  #: columns where there is no terminal


@click.command(
    "runs",
    epilog=show_examples(
        "harness runs",
        "harness runs runs --model 'mini/*' --task mis:mini --sort value",
        "harness runs --state failed,incomplete --json",
    ),
)
@click.argument("folder", type=click.Path(), default="runs", metavar="[FOLDER]")
@click.option(
    "--model", "models", type=Names(), default="", metavar="TEXT[,…]", help="Only models with this text or pattern."
)
@tasks_option("Only runs of these, and only their numbers.")
@click.option(
    "--state",
    "states",
    type=Names(),
    default="",
    metavar="NAME[,…]",
    help="Only these states: complete, incomplete, running, pending, failed, unreadable.",
)
@click.option(
    "--sort",
    type=click.Choice(_SORTS),
    default="when",
    show_default=True,
    help="Order: newest first; by name; by dollars, dearest first; by the first number, best first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N.")
@click.option(
    "--depth", type=click.IntRange(0, 20), default=_DEPTH, show_default=True, help="Levels of sub-folders to search."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, folder: str, **given: Any) -> None:
    """List the runs under a folder: state, model, tasks, main numbers, dollars.

    FOLDER is `runs` by default, and may be an address such as `s3://lab/runs`. Its sub-folders are searched, hidden
    ones are not. A folder that cannot be read is a row with its reason. Dollars that are not known are `?`; those of
    calls that nobody sells are "not sold".
    """
    load_host(ctx)
    from harness.runs.catalog import LISTED_STATES, SCHEMA, list_runs

    for state in given["states"]:
        if state not in LISTED_STATES:
            raise UnknownName(f"--state {state}: no such state", remedy=nearest(state, LISTED_STATES))
    every = list_runs(folder, depth=given["depth"])
    # a run without the value comes last
    keys: dict[str, Callable[[ListedRun], Any]] = {
        "when": lambda run: [-ord(letter) for letter in run.when],
        "folder": lambda run: run.place,
        "model": lambda run: (run.model == "", run.model, run.place),
        "state": lambda run: (list(_STYLES).index(run.state), run.place),
        "dollars": lambda run: (run.cost_usd is None, -(run.cost_usd or 0)),
        "value": _rank_by_value,
    }
    chosen = [kept for run in every if (kept := _filter_run(run, given)) is not None]
    chosen.sort(key=keys[given["sort"]])
    if given["reverse"]:
        chosen.reverse()
    shown = chosen[: given["limit"]]
    if given["as_json"]:
        body = {"schema": SCHEMA, "folder": folder, "runs": [run.as_json() for run in shown]}
        click.echo(json.dumps(body, ensure_ascii=False, indent=1, allow_nan=False))
        return
    if not every:
        say(f"no runs under {folder}; `harness run --output {folder}/NAME …` makes one", err=True)
    elif not shown:
        say(f"none of the {len(every)} runs under {folder} fits", err=True)
    else:
        _print_table(shown, folder)
        _tell_counts(shown, len(every))


def _filter_run(run: ListedRun, given: dict[str, Any]) -> ListedRun | None:
    """The run with the numbers that are asked for; None if it does not fit."""
    from dataclasses import replace

    models, tasks, states = given["models"], given["tasks"], given["states"]
    if states and run.state not in states:
        return None
    if models and not any(
        fnmatchcase(name, text) if any(letter in text for letter in "*?[") else text in name
        for name in (run.model, run.name)
        for text in models
    ):
        return None
    if not tasks:
        return run
    titles = [title for title in run.tasks if any(_names(task, title) for task in tasks)]
    numbers = tuple(each for each in run.numbers if any(_names(task, f"{each.task}:{each.split}") for task in tasks))
    if not titles and not numbers:
        return None
    return replace(run, tasks=tuple(titles) or run.tasks, numbers=tuple(replace(each, part=False) for each in numbers))


def _names(task: str, title: str) -> bool:
    """Whether a name of `--task` means a split: the task with or without its settings, or the split."""
    display, _, split = title.rpartition(":")
    if not display:
        display, split = split, ""
    wanted, _, part = task.partition(":")
    return wanted in (display, display.partition("+")[0]) and part in ("", split)


def _rank_by_value(run: ListedRun) -> tuple[bool, float]:
    number = next(iter(_list_shown_numbers(run)), None)
    if number is None or number.value is None:
        return True, 0
    return False, number.value if number.better == "lower" else -number.value


def _list_shown_numbers(run: ListedRun) -> list[MainNumber]:
    """The numbers of the table: a pooled split stands for its parts."""
    return [number for number in run.numbers if not number.part]


def _print_table(runs: Iterable[ListedRun], folder: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from harness.board.costs import format_cost
    from harness.board.display import format_estimate, format_head
    from harness.board.tables import print_drawing

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("run", overflow="fold")
    table.add_column("state")
    table.add_column("model", overflow="fold")
    table.add_column("main numbers", overflow="fold")
    table.add_column("$", justify="right")
    table.add_column("when")
    base = folder.rstrip("/") if "://" in folder else str(Path(folder))
    for run in runs:
        name = run.place.removeprefix(f"{base}/") or base
        # each main number, splits without one, and what is wrong
        lines: list[str] = []
        for number in _list_shown_numbers(run):
            head = format_head(number.metric, number.unit, number.better)
            value = format_estimate(number.value, number.ci95, number.unit)
            mark = "" if number.complete else " (incomplete)"
            lines.append(one_line(f"{number.task}:{number.split} {head} {value}{mark}"))
        counted = {f"{number.task}:{number.split}" for number in run.numbers}
        if left := [title for title in run.tasks if title not in counted]:
            lines.append(one_line(f"{', '.join(left)}: no number yet"))
        if run.why:
            lines.append(one_line(run.why, 200))
        table.add_row(
            Text(one_line(name)),
            Text(run.state, style=_STYLES[run.state]),
            Text(one_line(run.name or run.model) or "—"),
            Text("\n".join(lines) or "—"),
            format_cost(run.cost_usd, run.cost_why),
            _format_when(run.when),
        )
    print_drawing(lambda console: console.print(table), _WIDTH)


def _format_when(when: str) -> str:
    """A time of run.json in the local zone, to the minute."""
    try:
        return datetime.fromisoformat(when).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return "—"


def _tell_counts(runs: list[ListedRun], total: int) -> None:
    from harness.board.corrected import count_things
    from harness.board.costs import NOT_SOLD, is_not_sold

    counts = Counter[str](run.state for run in runs)
    parts = ", ".join(f"{counts[state]} {state}" for state in _STYLES if counts[state])
    dollars = [run.cost_usd for run in runs if run.cost_usd is not None]
    unsold = sum(run.cost_usd is None and is_not_sold(run.cost_why) for run in runs)
    rest = {"unknown": len(runs) - len(dollars) - unsold, NOT_SOLD: unsold}
    others = "".join(f", {what} in {count}" for what, count in rest.items() if count)
    spent = f"; ${sum(dollars):.2f} in {len(dollars)} of them{others}" if dollars else ""
    shown = f"{len(runs)} of {count_things(total, 'run')}" if len(runs) < total else count_things(total, "run")
    say(f"{shown}: {parts}{spent}", err=True)
