"""The command `harness sweep`: its flags."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.config import with_schemes, with_suites
from harness.cli.flags import Devices, Names
from harness.cli.options import plugin_options, read_config, show_examples
from harness.errors import HarnessError
from harness.text import one_line, say

if TYPE_CHECKING:
    from harness.runs.sweeping.api import Invocation
    from harness.runs.sweeping.plan import SweepPlan
    from harness.runs.sweeping.result import Sweep

_NOT_REPEATED = ("--dry-run", "--json", "--close", "--only-units")


def _read_config(ctx: click.Context, _: click.Parameter, explicit: Path | None) -> Path | None:
    """Callback of `--config`: the schemes, suites and prices of the user's config; each run reads the rest."""
    if not ctx.resilient_parsing:
        values = read_config(ctx, explicit)
        ctx.obj = {name: values.get(name, {}) for name in ("suites", "schemes", "prices")}
        if values.get("models"):
            raise HarnessError(
                "the config names models, and a sweep's file does too", remedy="remove them from one of the two"
            )
    return explicit


@click.command(
    "sweep",
    epilog=show_examples(
        "harness sweep sweep.yaml --dry-run",
        "harness sweep sweep.yaml",
        "harness sweep sweep.yaml --executor slurm",
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm", "ray"]),
    default="local",
    show_default=True,
    help="What runs the units: child processes here, an array of Slurm, or tasks of Ray.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder of all run folders, instead of FILE's."
)
@click.option("--only", type=Names(), default="", metavar="NAME[,…]", help="Only these units; --dry-run lists them.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="Most units at once that hold no GPU.")
@click.option("--devices", type=Devices(), default="", metavar="N[,…]", help="CUDA devices to use.  [default: all]")
@click.option(
    "--ray-address",
    default="",
    metavar="HOST:PORT|auto",
    help="With --executor ray: the cluster's address; without it Ray is started on this machine.",
)
@click.option("--close", is_flag=True, help="Run nothing more: judge what waits for a judge, and write the page.")
@click.option("--only-units", is_flag=True, help="Run units, and leave judges that are opened once to --close.")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="N",
    help="Units at work at the same time in all: they share limits.",
)
@click.option("--dry-run", is_flag=True, help="List the units and what is done already; with slurm print the scripts.")
@click.option("--json", "as_json", is_flag=True, help="Print sweep.json instead of a table.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    callback=_read_config,
    help="YAML with suites, schemes and prices of your own; default ./harness.yaml over the user's.",
)
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, file: Path, **given: Any) -> int:
    """Ask many models the same tasks, each in a run folder of its own.

    FILE.yaml names models (also by patterns), tasks and judges, at least
    `{models: [mini/base, mini/mirage], tasks: [mis:mini], output: runs/sweep}`. The failure of one unit is a row of the
    table, and the same command goes on with what is not done. Exit codes: 0 all complete, 2 nothing could start, 3 some
    are not complete, 130 interrupted.
    """
    with_schemes(ctx)
    with_suites(ctx)
    from dataclasses import replace

    from harness.runs.sweeping.api import Invocation
    from harness.runs.sweeping.plan import plan_sweep

    plan = plan_sweep(file, output=given["output"])
    plan = plan.select(given["only"]) if given["only"] else plan
    plan = replace(plan, jobs=given["jobs"] or plan.jobs, devices=given["devices"] or plan.devices)
    config: Path | None = given["config"]
    invocation = Invocation(
        executor=given["executor"],
        more=() if config is None else ("--config", str(config.absolute())),
        ray_address=given["ray_address"],
        close=given["close"],
        only_units=given["only_units"],
        at_once=given["at_once"],
    )
    if given["dry_run"]:
        from harness.runs.sweeping.records import Records

        rows = Records(plan).find_rows(plan)
        if given["as_json"]:
            units = [row.as_json() for row in rows]
            click.echo(json.dumps({"output": str(plan.output), "units": units}, ensure_ascii=False, indent=1))
            return 0
        from .table import print_plan

        print_plan(plan, rows)
        if invocation.executor == "slurm":
            from harness.runs.sweeping.api import list_scripts

            for script in list_scripts(plan, rows, invocation):
                say(f"\n# {script.path}\n{script.text}")
        return 0
    made = _sweep(plan, invocation)
    if given["as_json"]:
        click.echo(json.dumps(made.as_json(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        from .table import print_sweep

        if not given["only_units"]:
            print_sweep(made)
    if made.leaderboard is not None:
        say(f"leaderboard: {made.leaderboard}", err=True)
    if made.submitted:
        say(f"submitted: {' '.join(made.submitted)}; the last job judges and writes the page", err=True)
    elif any(row.state != "complete" for row in made.rows):
        words = [word for word in sys.argv[1:] if word not in _NOT_REPEATED]
        say(f"continue what is not complete: {shlex.join(['harness', *words])}", err=True)
    return made.exit_code


def _sweep(plan: SweepPlan, invocation: Invocation) -> Sweep:
    from harness.cli.interrupt import interruptible, resume_hint
    from harness.evaluation.samples import Stop
    from harness.runs.sweeping.api import sweep_async

    stop = Stop()

    def tell(text: str) -> None:
        say(one_line(text, 500), err=True)

    try:
        return interruptible(lambda: sweep_async(plan, invocation, stop=stop, tell=tell), stop)
    except KeyboardInterrupt:
        say(resume_hint(("harness", *sys.argv[1:])), err=True)
        raise
