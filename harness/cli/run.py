"""`harness run`: ask a model the questions of some tasks, and judge its answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .configured import with_schemes, with_suites
from .flags import judging_flags
from .options import plugin_options
from .stdout import tell
from .values import ModelsFile, Names, Pairs

if TYPE_CHECKING:
    from harness.evaluation.options import Options
    from harness.models import ModelSpec
    from harness.runs.run import Run


@click.command()
@click.option("--model", "models", multiple=True, metavar="SCHEME/NAME", help="Evaluated model; repeatable.")
@click.option(
    "--models",
    "models_file",
    type=ModelsFile(),
    metavar="FILE.yaml",
    help="List of {model, settings, strategy}; one failing does not stop the rest.",
)
@click.option(
    "--tasks",
    type=Names(),
    default="",
    metavar="NAME[:SPLIT][,…]",
    help="Tasks or single splits, or suites: see `harness tasks`.",
)
@click.option(
    "-M",
    "model_settings",
    multiple=True,
    callback=Pairs(dotted=False),
    metavar="KEY=VALUE",
    help="Setting of the model's provider.",
)
@click.option("--strategy", default="", metavar="NAME", help="Strategy around the model.")
@click.option(
    "-S",
    "strategy_settings",
    multiple=True,
    callback=Pairs(dotted=False),
    metavar="KEY=VALUE",
    help="Setting of the strategy.",
)
@click.option("--temperature", type=click.FloatRange(0), help="Override of the tasks' temperature.")
@click.option("--max-tokens", type=click.IntRange(1), help="Override of the tasks' token limit.")
@click.option("--system", default="", metavar="TEXT", help="System message put before each request.")
@click.option("--seed", type=int, help="Seed sent to the provider.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="First N clusters of each split; raising it extends."
)
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Answers for each sample.")
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Run folder; their parent for several models."
)
@click.option(
    "--phases",
    type=click.Choice(["auto", "sequential", "overlap"]),
    default="auto",
    show_default=True,
    help="Judge while answering, or after the model is closed; auto: after, when both are local.",
)
@click.option("--fresh", is_flag=True, help="Put an old run of this folder aside and start anew.")
@click.option("--no-probe", is_flag=True, help="Skip the start-up check of the model and the judges.")
@click.option("--dry-run", is_flag=True, help="Show what would be asked of whom, and ask nothing.")
@judging_flags
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Ask a model the questions of some tasks, and judge its answers.

    The run folder resumes: what was answered is never asked again. Exit codes: 0 done, 2 you can mend it, 3 done but
    incomplete, 130 interrupted.
    """
    with_schemes(ctx)
    with_suites(ctx)
    specs = _specs(given)
    every = [partial(_options, spec, given, several=len(specs) > 1) for spec in specs]
    if given["dry_run"]:
        return _dry([(spec.ref, options) for spec, options in zip(specs, every, strict=True)], as_json=given["as_json"])
    if len(specs) == 1:
        return _one(every[0], as_json=given["as_json"])
    from .outcome import printed
    from .several import each

    runs, code = each((spec.ref, partial(_run, options)) for spec, options in zip(specs, every, strict=True))
    printed(runs, as_json=given["as_json"], several=True)
    return code


def _specs(given: dict[str, Any]) -> list[ModelSpec]:
    """The models: those of a file have their own settings over those of the flags."""
    from dataclasses import replace

    from harness.errors import HarnessError
    from harness.models import ModelSpec

    common, around = given["model_settings"], given["strategy_settings"]
    specs = [ModelSpec(ref=ref) for ref in given["models"]] + list(given["models_file"] or ())
    if not specs:
        raise HarnessError("no model to run", remedy="give --model SCHEME/NAME: see `harness models list`")
    return [
        replace(
            spec,
            settings={**common, **spec.settings},
            strategy=spec.strategy or given["strategy"],
            strategy_settings={**around, **spec.strategy_settings},
        )
        for spec in specs
    ]


def _options(spec: ModelSpec, given: dict[str, Any], *, several: bool) -> Options:
    from harness.evaluation.options import Options
    from harness.limits.endpoints import Policy
    from harness.metrics import MIN_COVERAGE

    output: Path | None = given["output"]
    overrides = {name: given[name] for name in ("temperature", "max_tokens", "seed") if given[name] is not None}
    concurrency: int | None = given["concurrency"]
    options = Options(
        model=spec,
        tasks=given["tasks"],
        judges=given["judges"],
        judge_settings=given["judge_settings"],
        task_settings=given["task_settings"],
        generation=overrides,
        system=given["system"],
        limit=given["limit"],
        epochs=given["epochs"],
        data=given["data"],
        output=None if several else output,
        fresh=given["fresh"],
        retry=frozenset(given["retry"]),
        probe=not given["no_probe"],
        devices=given["devices"],
        phases=given["phases"],
        min_coverage=MIN_COVERAGE if given["min_coverage"] is None else given["min_coverage"],
        policy=Policy(start=concurrency, cap=concurrency) if concurrency else Policy(),
        command=("harness", *sys.argv[1:]),
    )
    if several and output is not None:
        from dataclasses import replace

        from harness.runs.run import default_folder

        return replace(options, output=output / default_folder(options).name)
    return options


def _dry(every: list[tuple[str, Callable[[], Options]]], *, as_json: bool) -> int:
    """What each run would do; ends as they would."""
    from harness.runs.dry_run import DryRun, dry_run

    from .dry import show
    from .several import each

    def body(options: Callable[[], Options]) -> DryRun:
        return dry_run(options())

    if len(every) == 1:
        found = body(every[0][1])
        show([found], as_json=as_json)
        return found.exit_code
    ended, code = each((name, partial(body, options)) for name, options in every)
    show(ended, as_json=as_json)
    return code


def _one(options: Callable[[], Options], *, as_json: bool) -> int:
    from .outcome import printed

    run = _run(options)
    printed([run], as_json=as_json, several=False)
    return run.exit_code


def _run(made: Callable[[], Options]) -> Run:
    from harness.errors import HarnessError
    from harness.evaluation.samples import Stop
    from harness.progress.lines import choose_progress
    from harness.runs.run import run_async

    from .interrupt import interruptible
    from .outcome import resume_hint

    options, progress, stop = made(), choose_progress(sys.stderr), Stop()
    try:
        return interruptible(lambda: run_async(options, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        tell(resume_hint(options.command))
        raise
    except HarnessError as error:
        if stop.asked:  # answers were being taken: they are kept, whatever ended it
            error.remedy = "\n  ".join(filter(None, (error.remedy, resume_hint(options.command))))
        raise
