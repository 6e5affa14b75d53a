"""`harness judge`: judge the stored answers of runs, again or with another judge."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .configured import with_schemes, with_suites
from .flags import judging_flags
from .options import plugin_options
from .stdout import tell
from .values import Names

if TYPE_CHECKING:
    from harness.evaluation.options import JudgeOptions
    from harness.runs.run import Run


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--tasks", type=Names(), default="", metavar="NAME[:SPLIT][,…]", help="Only these of the run's tasks.")
@click.option(
    "--combine",
    type=click.Choice(["majority"]),
    help="Ask nobody: make one more judge of the verdicts that are there, where more than half of them agree.",
)
@click.option(
    "--members",
    type=Names(),
    default="",
    metavar="NAME[,…]",
    help="With --combine: only these judges, an id or all of a rubric; else all that gave a verdict.",
)
@click.option(
    "--judge-limit",
    type=click.IntRange(1),
    metavar="N",
    help="Judge the answers of N clusters of each split only, a random part that stands for the rest.",
)
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
    from .several import each

    named = ctx.get_parameter_source("judges") is click.core.ParameterSource.COMMANDLINE
    if given["combine"] and named:
        raise click.UsageError("--combine asks no judge: judge first, in a command of its own")
    if given["combine"] and given["judge_limit"]:
        raise click.UsageError("--combine asks no judge, so --judge-limit has nothing to limit")
    if given["members"] and not given["combine"]:
        raise click.UsageError("--members needs --combine majority")
    with_schemes(ctx)
    with_suites(ctx)
    tasks: Sequence[str] = given["tasks"]
    if len(runs) == 1:
        run = _judge(runs[0], tasks, given)
        printed([run], as_json=given["as_json"], several=False)
        return run.exit_code
    done, code = each((str(folder), partial(_judge, folder, tasks, given)) for folder in runs)
    printed(done, as_json=given["as_json"], several=True)
    return code


def _judging(tasks: Sequence[str], given: dict[str, Any]) -> JudgeOptions:
    from harness.evaluation.options import JudgeOptions
    from harness.limits.endpoints import Policy

    concurrency: int | None = given["concurrency"]
    return JudgeOptions(
        judges=() if given["combine"] else given["judges"],
        judge_settings=given["judge_settings"],
        task_settings=given["task_settings"],
        tasks=tuple(tasks),
        members=tuple(given["members"]),
        primary=given["primary"],
        data=given["data"],
        retry=frozenset(given["retry"]),
        probe=not given["no_probe"],
        devices=given["devices"],
        min_coverage=given["min_coverage"],
        judge_limit=given["judge_limit"],
        policy=Policy(start=concurrency, cap=concurrency) if concurrency else Policy(),
        command=("harness", *sys.argv[1:]),
    )


def _judge(folder: Path, tasks: Sequence[str], given: dict[str, Any]) -> Run:
    from harness.evaluation.samples import Stop
    from harness.progress.lines import choose_progress
    from harness.runs.run import judge_async

    from .interrupt import interruptible
    from .outcome import resume_hint

    judging, progress, stop = _judging(tasks, given), choose_progress(sys.stderr), Stop()
    if given["combine"]:
        from harness.runs.additions import combine_judges

        return combine_judges(folder, judging)
    try:
        return interruptible(lambda: judge_async(folder, judging, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        tell(resume_hint(judging.command))
        raise
