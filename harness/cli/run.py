"""`harness run`: ask a model the questions of some tasks, and judge its answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .config import with_schemes, with_suites
from .flags import build_policy, run_flags
from .options import show_examples
from .outcome import check_upload, print_dry_runs, print_runs, run_all, upload_runs
from .stdout import tell

if TYPE_CHECKING:
    from harness.evaluation.options import Options
    from harness.models import ModelSpec
    from harness.runs.dry_run import DryRun
    from harness.runs.run import Run


@click.command(
    epilog=show_examples(
        "harness run --model mini/base --tasks mis:mini,mssbench:mini",
        "harness run --model openai/NAME --tasks mis --judge openai/JUDGE --limit 20",
    )
)
@run_flags
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Ask a model the questions of some tasks, and judge its answers.

    The same command resumes the run: stored answers are never asked again. Exit codes: 0 done, 2 you can fix it, 3
    incomplete, also by --max-usd or while batches are open, 130 interrupted, by Ctrl-C or by SIGTERM.
    """
    with_schemes(ctx)
    with_suites(ctx)
    given["prices"] = ctx.obj["prices"]
    specs = build_specs(given, ctx.obj.get("own_settings", {}))
    check_upload(given["upload"])
    several = len(specs) > 1
    if given["dry_run"]:
        rehearsed, code = run_all([(spec.ref, partial(_dry_run, spec, given, several=several)) for spec in specs])
        print_dry_runs(rehearsed, as_json=given["as_json"])
    else:
        runs, code = run_all([(spec.ref, partial(_run, spec, given, several=several)) for spec in specs])
        print_runs(runs, as_json=given["as_json"], several=several)
        code = upload_runs(runs, given["upload"], code, several=several)
    return code


def build_specs(given: dict[str, Any], own: Mapping[str, Mapping[str, Any]] | None = None) -> list[ModelSpec]:
    """The models; settings in a file override those of the flags.

    Settings of a strategy go only to the models that have this strategy.

    Args:
        given: the values of the flags.
        own: settings of single models by the config, which the flags override.

    Raises:
        HarnessError: there is no model.
    """
    from harness.errors import HarnessError
    from harness.models import ModelSpec

    specs = [ModelSpec(ref=ref) for ref in given["models"]] + list(given["models_file"] or ())
    if not specs:
        raise HarnessError("no model to run", remedy="give --model SCHEME/NAME: see `harness models list`")
    strategy: str = given["strategy"]
    found: list[ModelSpec] = []
    for spec in specs:
        same = not strategy or spec.strategy in ("", strategy)
        found.append(
            replace(
                spec,
                settings={**(own or {}).get(spec.ref, {}), **given["model_settings"], **spec.settings},
                strategy=spec.strategy or strategy,
                strategy_settings={**(given["strategy_settings"] if same else {}), **spec.strategy_settings},
            )
        )
    return found


def build_options(spec: ModelSpec, given: dict[str, Any], *, several: bool) -> Options:
    """The options of one run; each of several runs has its folder below `--output`."""
    from harness.attacks import AttackSpec
    from harness.evaluation.options import Options
    from harness.metrics import MIN_COVERAGE

    output: Path | None = given["output"]
    options = Options(
        model=spec,
        tasks=given["tasks"],
        judges=given["judges"],
        maps=given["maps"],
        judge_settings=given["judge_settings"],
        task_settings=given["task_settings"],
        generation={n: given[n] for n in ("temperature", "max_tokens", "seed") if given[n] is not None},
        system=given["system"],
        limit=given["limit"],
        epochs=given["epochs"],
        shard=given["shard"],
        data=given["data"],
        output=None if several else output,
        fresh=given["fresh"],
        retry=frozenset(given["retry"]),
        probe=not given["no_probe"],
        devices=given["devices"],
        launch=given["launch"] or "",
        hosts=given["hosts"],
        ray_address=given["ray_address"],
        phases=given["phases"],
        min_coverage=MIN_COVERAGE if given["min_coverage"] is None else given["min_coverage"],
        judge_repeat=given["judge_repeat"],
        judge_vote=given["judge_vote"] or "",
        policy=build_policy(given),
        max_usd=given["max_usd"],
        prices=given.get("prices", {}),
        command=("harness", *sys.argv[1:]),
        batch=given["batch"],
        wait=given["wait"],
        attack=AttackSpec(name=given["attack"], settings=given["attack_settings"]),
    )
    if several and output is not None:
        from harness.runs.run import default_folder

        return replace(options, output=output / default_folder(options).name)
    return options


def _dry_run(spec: ModelSpec, given: dict[str, Any], *, several: bool) -> DryRun:
    from harness.runs.dry_run import dry_run

    return dry_run(build_options(spec, given, several=several))


def _run(spec: ModelSpec, given: dict[str, Any], *, several: bool) -> Run:
    from harness.errors import BudgetSpent, HarnessError
    from harness.evaluation.samples import Stop
    from harness.progress import choose_progress
    from harness.runs.run import run_async

    from .interrupt import interruptible, resume_hint

    options = build_options(spec, given, several=several)
    progress, stop = choose_progress(sys.stderr), Stop()
    try:
        return interruptible(lambda: run_async(options, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        tell(resume_hint(options.command))
        raise
    except HarnessError as error:
        if stop.asked and not isinstance(error, BudgetSpent):  # answers in flight are kept, whatever ended the run
            error.remedy = "\n  ".join(filter(None, (error.remedy, resume_hint(options.command))))
        raise
