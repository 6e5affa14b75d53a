"""The command `harness rerun`: its flags and output."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.config import suites_flag, with_schemes, with_suites
from harness.cli.flags import Devices, tasks_option
from harness.cli.options import plugin_options, show_examples
from harness.errors import HarnessError
from harness.text import one_line, say

if TYPE_CHECKING:
    from harness.runs.rerun import RerunPlan
    from harness.runs.run import Run

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(
    "rerun",
    epilog=show_examples(
        "harness rerun runs/base --dry-run",
        "harness rerun runs/base --output runs/again",
        "harness rerun runs/base --model mini/mirage --output runs/tuned",
    ),
)
@click.argument("run", type=_FOLDER)
@click.option("--output", type=_FOLDER, help="The new run folder.  [default: RUN-rerun, beside the run]")
@click.option("--model", default="", metavar="SCHEME/NAME", help="Ask this model instead, in the same way.")
@tasks_option("Only these tasks instead.", stored=False)
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="MODEL|RUBRIC|RUBRIC=MODEL",
    help="These judges instead of the recorded ones; repeatable.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="The first N groups of related samples of each split (such as a scene with its questions) instead.",
)
@click.option("--data", type=_FOLDER, help="Data folder, if the data lies elsewhere now.")
@click.option("--devices", type=Devices(), default="", metavar="N[,…]", help="CUDA devices of local models and judges.")
@click.option(
    "--trust",
    is_flag=True,
    help="Use recorded settings that run code, send a secret or name an address: only for a RUN of somebody you trust.",
)
@click.option("--dry-run", is_flag=True, help="Show the commands that do the same, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json instead of a table; with --dry-run the plan.")
@suites_flag
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, run: Path, **given: Any) -> int:
    """Repeat a run from its run.json, in a new folder.

    Model, tasks, judges, settings, seeds and limits are those that RUN recorded, whatever the config and the
    environment say now; keys come from the environment. RUN is the folder that `harness run --output` named. Exit codes
    are those of `harness run`.
    """
    with_schemes(ctx)
    with_suites(ctx)
    from harness.runs.rerun import Overrides, plan_rerun

    overrides = Overrides(**{name: given[name] for name in ("model", "tasks", "judges", "limit", "data", "devices")})
    plan = plan_rerun(run, output=given["output"], overrides=overrides)
    for note in plan.notes:
        say(f"note: {note}", err=True)
    if given["dry_run"]:
        for risk in plan.risks:
            say(f"needs --trust: {one_line(risk, 200)}", err=True)
        if given["as_json"]:
            body = {"source": str(plan.source), "output": str(plan.output), "commands": list(plan.commands)}
            click.echo(json.dumps({**body, "notes": list(plan.notes)}, ensure_ascii=False, indent=1))
        else:
            for line in plan.commands:
                click.echo(line)
        return 0
    if plan.risks and not given["trust"]:
        raise HarnessError(
            "run.json has settings that are safe only if you trust who made the run:\n  "
            + "\n  ".join(one_line(each, 200) for each in plan.risks),
            where=str(plan.source),
            remedy="look at `harness rerun RUN --dry-run`; if you trust who made the run, give --trust",
        )
    done = _rerun(plan)
    from harness.cli.outcome import print_runs
    from harness.runs.rerun import find_identity_changes

    print_runs([done], as_json=given["as_json"], several=False)
    changed = find_identity_changes(plan.source, plan.folder)
    if changed and not given["model"]:  # of another model that was asked for, it is no news
        say(f"note: it is not the same model asked in the same way: {', '.join(changed)} differ", err=True)
    elif not changed:
        say("the model's identity is that of the first run", err=True)
    say(f"  {shlex.join(['harness', 'compare', str(plan.source), str(plan.folder)])}", err=True)
    return done.exit_code


def _rerun(plan: RerunPlan) -> Run:
    from harness.cli.interrupt import interruptible
    from harness.evaluation.samples import Stop
    from harness.progress import choose_progress
    from harness.runs.rerun import rerun_async

    progress, stop = choose_progress(sys.stderr), Stop()
    command = ("harness", *sys.argv[1:])
    try:
        return interruptible(lambda: rerun_async(plan, command=command, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        again = ["harness", "rerun", str(plan.source), "--output", str(plan.output)]
        say(f"all answers are kept; resume with the same flags and this folder: {shlex.join(again)}", err=True)
        raise
