"""The command `harness power`: its flags and its output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from harness.cli.flags import RunPlace, list_places
from harness.cli.options import FiniteRange, load_host, plugin_options, show_examples

if TYPE_CHECKING:
    from harness.stats.power import Goal

_POINTS: Final = FiniteRange(0, 100, min_open=True, max_open=True)
_RATE: Final = FiniteRange(0, 100)
_GOALS: Final[tuple[Goal, ...]] = ("detect", "margin", "limit", "width")


@click.command(
    "power",
    epilog=show_examples(
        "harness power --task mis:mini --detect 3 --against runs/base",
        "harness power --task mis:mini --rate 3 --limit 5 --width 4",
        "harness power --task mis:mini --detect 20 --against runs/base --seeds 3",
    ),
)
@click.option("--task", "title", required=True, metavar="NAME:SPLIT", help="What is evaluated.")
@click.option("--metric", default="", metavar="NAME", help="The metric; default: the split's main one.")
@click.option("--detect", type=_POINTS, metavar="N", help="Find a true difference of N points between two runs.")
@click.option("--margin", type=_POINTS, metavar="N", help="Show that a run is no worse by N points, where it is equal.")
@click.option("--limit", type=_POINTS, metavar="N", help="Show that the metric keeps the limit N, as a gate asks.")
@click.option("--width", type=_POINTS, metavar="N", help="Have a 95% interval that is at most N points wide.")
@click.option(
    "--against",
    multiple=True,
    type=RunPlace(files=True),
    metavar="RUN",
    help="An earlier run: its rate, clusters and cost; further ones tell of pairs and seeds. Repeatable.",
)
@click.option("--rate", type=_RATE, metavar="N", help="The true rate that is expected; default: the first run's.")
@click.option(
    "--correlation",
    type=FiniteRange(0, 1),
    metavar="R",
    show_default="as measured, else 0",
    help="How far two models' answers to one question hang together.",
)
@click.option(
    "--seeds", type=click.IntRange(1), metavar="M", help="Runs on each side that differ in a seed alone; default: 1."
)
@click.option(
    "--seed-sd",
    type=FiniteRange(0, 100),
    metavar="N",
    show_default="as measured, else 0",
    help="Standard deviation of the true rate between seeds, in points.",
)
@click.option("--judge", default="", metavar="ID", help="The judge of the runs: an id, its rubric, or its first parts.")
@click.option(
    "--power",
    type=FiniteRange(0, 100, min_open=True, max_open=True),
    default=80,
    show_default=True,
    metavar="N",
    help="The wanted chance, in percent.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, title: str, **given: Any) -> int:
    """Say how many samples and seeds an evaluation needs, and what they cost.

    Rates, differences, widths and limits are in points of 100. A chance is exact for one run, or one pair of runs, also
    at ten samples. What an earlier run, which `harness run` made, does not say is assumed, and the output says so. It
    asks no model.
    """
    goals: dict[Goal, float] = {goal: given[goal] for goal in _GOALS if given[goal] is not None}
    if not goals:
        raise click.UsageError("give what is wanted: --detect, --margin, --limit or --width")
    load_host(ctx)
    from harness.runs.power_plan import plan_power, power_as_json, read_basis

    from .table import check_limit, print_table

    basis = read_basis(
        title,
        metric=given["metric"],
        against=list_places(given["against"]),
        rate=given["rate"],
        correlation=given["correlation"],
        seed_sd=given["seed_sd"],
        judge=given["judge"],
    )
    if "limit" in goals:
        check_limit(basis, goals["limit"])
    power: float = given["power"] / 100
    rows = plan_power(basis, goals, seeds=(given["seeds"],) if given["seeds"] else (), power=power)
    if given["as_json"]:
        click.echo(json.dumps(power_as_json(basis, rows, power), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        print_table(basis, rows, power)
    return 0
