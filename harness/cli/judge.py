"""`harness judge`: judge the stored answers of runs, again or with another judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .flags import judging_flags, names, pairs
from .options import loaded, plugin_options

if TYPE_CHECKING:
    from harness.options import Options
    from harness.runs import Run


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--tasks", default="", metavar="NAME[:SPLIT][,…]", help="Only these of the run's tasks.")
@click.option("--primary", is_flag=True, help="Make this judge the one whose numbers stand first.")
@click.option("--no-probe", is_flag=True, help="Skip the start-up check of the judges.")
@judging_flags
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Judge the stored answers of runs, again or with another judge; nothing is asked of the model.

    Verdicts of several judges stand side by side. An answer is judged only if the data still asks the same.
    """
    from .outcome import printed

    loaded(ctx)
    done = [_judge(folder, _options(given), given) for folder in runs]
    printed(done, as_json=given["as_json"], several=len(done) > 1)
    return max(run.exit_code for run in done)


def _options(given: dict[str, Any]) -> Options:
    from harness.limits import Policy
    from harness.models import ModelSpec
    from harness.options import Options

    concurrency: int | None = given["concurrency"]
    return Options(
        model=ModelSpec(ref=""),
        tasks=(),
        judges=tuple(name for text in given["judges"] for name in names(text)),
        judge_settings=pairs(given["judge_settings"], "-J"),
        task_settings=pairs(given["task_settings"], "-T"),
        data=given["data"],
        retry=frozenset(names(given["retry"])),
        probe=not given["no_probe"],
        min_coverage=given["min_coverage"],
        policy=Policy(start=concurrency, cap=concurrency) if concurrency else Policy(),
        command=("harness", *sys.argv[1:]),
    )


def _judge(folder: Path, options: Options, given: dict[str, Any]) -> Run:
    from harness.progress import choose
    from harness.runs import judge_async

    from .interrupt import interruptible
    from .outcome import resume_hint

    progress, tasks = choose(sys.stderr), names(given["tasks"])
    try:
        return interruptible(
            lambda stop: judge_async(
                folder, options, tasks=tasks, primary=given["primary"], progress=progress, stop=stop
            )
        )
    except KeyboardInterrupt:
        click.echo(resume_hint(options.command), err=True)
        raise
