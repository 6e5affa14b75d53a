"""`harness judge`: judge the stored answers of runs, again or with another judge."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .config import with_schemes, with_suites
from .flags import LocalRun, build_policy, judge_flags
from .options import show_examples
from .outcome import check_upload, choose_code, print_runs, run_all, run_each, upload_runs
from .stdout import tell

if TYPE_CHECKING:
    from harness.contracts import Results
    from harness.evaluation.options import JudgeOptions
    from harness.runs.run import Run


@click.command(
    epilog=show_examples(
        "harness judge runs/base --judge keyword", "harness judge 'runs/*' --judge openai/JUDGE --primary"
    )
)
@click.argument("runs", nargs=-1, required=True, type=LocalRun())
@judge_flags
@click.pass_context
def command(ctx: click.Context, /, runs: tuple[Path, ...], **given: Any) -> int:
    """Judge the stored answers of runs, again or with another judge; does not call the model.

    A run keeps the verdicts of several judges. An answer is judged only if its question has not changed.
    """
    named = {name for name in given if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}
    if given["combine"] and "judges" in named:
        raise click.UsageError("--combine asks no judge: judge first, in a separate command")
    if given["combine"] and "judge_limit" in named:
        raise click.UsageError("--combine asks no judge, so --sample has nothing to limit")
    if given["combine"] and named & {"judge_repeat", "judge_vote"}:
        raise click.UsageError("--combine asks no judge, so --judge-repeat has nothing to repeat")
    if given["members"] and not given["combine"]:
        raise click.UsageError("--members needs --combine majority")
    from harness.runs.state import list_run_folders

    with_schemes(ctx)
    with_suites(ctx)
    given["prices"] = ctx.obj["prices"]
    check_upload(given["upload"])
    folders = list_run_folders(runs)
    if len(folders) > 1 and not given["combine"]:
        ended, code = _judge_all(folders, given)
    else:
        ended, code = run_all([(str(folder), partial(_judge, folder, given)) for folder in folders])
    select = partial(_select_judged, tasks=given["tasks"]) if given["tasks"] else None
    print_runs(ended, as_json=given["as_json"], several=len(folders) > 1, select=select)
    return upload_runs(ended, given["upload"], code, several=len(folders) > 1)


def _select_judged(run: Run, *, tasks: tuple[str, ...]) -> Results:
    """The results of the splits that `--tasks` names, and of those that are pooled from them alone."""
    from harness.runs.selection import select_splits
    from harness.store.folder import RunFolder

    selection = select_splits(RunFolder(run.folder), tasks)
    named = {plan.title for plan in selection.plans}
    pools = {plan.display: plan.splits for plan in selection.plans}

    def holds(display: str, name: str) -> bool:
        splits = pools.get(display, {})
        parts = [f"{display}:{part}" for part in splits[name].parts] if name in splits else []
        return f"{display}:{name}" in named or (bool(parts) and named.issuperset(parts))

    found = {
        display: {**task, "splits": {name: split for name, split in task["splits"].items() if holds(display, name)}}
        for display, task in run.results["tasks"].items()
    }
    return {**run.results, "tasks": {display: task for display, task in found.items() if task["splits"]}}


def _judge(folder: Path, given: dict[str, Any]) -> Run:
    from harness.evaluation.samples import Stop
    from harness.progress import choose_progress
    from harness.runs.run import judge_async

    from .interrupt import interruptible, resume_hint

    options = _build_options(given)
    if given["combine"]:
        from harness.runs.additions import combine_judges

        return combine_judges(folder, options)
    progress, stop = choose_progress(sys.stderr), Stop()
    try:
        return interruptible(lambda: judge_async(folder, options, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        tell(resume_hint(options.command))
        raise


def _judge_all(folders: Sequence[Path], given: dict[str, Any]) -> tuple[list[Run], int]:
    """Judge several runs, one after the other; a judge's model on this machine is opened once for all of them.

    Returns the runs that ended, and the exit code. A failure is printed, and does not stop the rest.
    """
    from harness.evaluation.judges import keep_judges_open
    from harness.evaluation.samples import Stop
    from harness.progress import choose_progress
    from harness.runs.run import judge_async

    from .interrupt import interruptible, resume_hint

    options, stop = _build_options(given), Stop()

    async def judge_one(folder: Path) -> Callable[[], Run]:
        try:
            run = await judge_async(folder, options, progress=choose_progress(sys.stderr), stop=stop)
        except Exception as error:  # noqa: BLE001 - raised again where errors become messages
            return partial(_fail, error)
        return lambda: run

    async def judge_each() -> tuple[list[Run], int]:
        ended: list[Run] = []
        codes = {0}
        async with keep_judges_open():
            for folder in folders:
                judged, code = run_each([(str(folder), await judge_one(folder))])
                ended += judged
                codes.add(code)
        return ended, choose_code(codes)

    try:
        return interruptible(judge_each, stop)
    except KeyboardInterrupt:
        tell(resume_hint(options.command))
        raise


def _fail(error: Exception) -> Run:
    raise error


def _build_options(given: dict[str, Any]) -> JudgeOptions:
    from harness.evaluation.options import JudgeOptions

    return JudgeOptions(
        judges=() if given["combine"] else given["judges"],
        maps=given["maps"],
        judge_settings=given["judge_settings"],
        task_settings=given["task_settings"],
        tasks=given["tasks"],
        members=given["members"],
        primary=given["primary"],
        data=given["data"],
        retry=frozenset(given["retry"]),
        probe=not given["no_probe"],
        devices=given["devices"],
        launch=given["launch"] or "",
        hosts=given["hosts"],
        ray_address=given["ray_address"],
        min_coverage=given["min_coverage"],
        judge_limit=given["judge_limit"],
        judge_repeat=1 if given["combine"] else given["judge_repeat"],
        judge_vote="" if given["combine"] else given["judge_vote"] or "",
        policy=build_policy(given),
        max_usd=given["max_usd"],
        prices=given.get("prices", {}),
        command=("harness", *sys.argv[1:]),
        batch=given["batch"],
        wait=given["wait"],
    )
