"""`harness judges bench` and `harness judges attack`: their flags."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.flags import Names, judging_flags, with_schemes, with_suites
from harness.cli.stdout import reserve, results_stream, show, tell
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.runs.run import Run


RUNS = Path("runs/judges-bench")
_ENDINGS = (".md", ".csv")


@click.group("judges")
def group() -> None:
    """Commands that `harness judges` gets."""


@group.command("bench")
@click.option(
    "--on",
    type=Names(),
    default="",
    metavar="NAME[:SPLIT][,…]",
    help="Labelled sets or single splits of them. Default: all sets whose data is here.",
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="First N clusters of each split; then no set is whole."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUNS,
    show_default=True,
    help="Run folder; the same command resumes it, and more judges add to it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md|FILE.csv",
    help="Write the table there, as Markdown or CSV.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@judging_flags
@click.pass_context
@reserve
def bench(ctx: click.Context, /, **given: Any) -> int:
    """Measure judges against people, on published answers that people labelled.

    For each judge and set: agreement, kappa, precision, recall and F1, the bias that the judge would give, and how far
    people agree with each other. Exit codes: 0 done, 2 you can fix it, 3 done but incomplete, 130 interrupted.
    """
    output: Path | None = given["output"]
    if ctx.get_parameter_source("output") is not click.core.ParameterSource.COMMANDLINE:
        output = None  # the config's `output` is the folder of `harness run`
    if output is not None and output.suffix not in _ENDINGS:
        raise click.UsageError(f"--output {output}: end its name in {' or '.join(_ENDINGS)}")
    with_schemes(ctx)
    with_suites(ctx)
    from .bench import bench_judges, find_sets, to_json
    from .tables import print_sets, render_csv, render_markdown

    options = _build_options(given)
    chosen = find_sets(given["on"], options)
    for note in chosen.notes:
        tell(f"note: {note}")
    run = _run(chosen.of(options))
    sets = bench_judges(run.folder, chosen.titles)
    if given["as_json"]:
        show(json.dumps(to_json(run.folder, sets), ensure_ascii=False, indent=1, allow_nan=False), raw=True)
    else:
        print_sets(sets, results_stream())
    if output is not None:
        _write(output, render_csv(sets) if output.suffix == ".csv" else render_markdown(sets))
    for note in run.notes:
        tell(f"note: {note}")
    tell(f"results: {run.folder / 'results.json'}")
    return run.exit_code or (3 if chosen.incomplete else 0)


def _build_options(given: dict[str, Any]) -> Any:
    from harness.evaluation.options import Options
    from harness.limits.endpoints import Policy
    from harness.metrics import MIN_COVERAGE
    from harness.models import ModelSpec

    from .bench import check_judges_named

    concurrency: int | None = given["concurrency"]
    judges = check_judges_named(given["judges"])
    return Options(
        model=ModelSpec(ref="given/answers"),
        tasks=(),
        judges=judges,
        maps=given["maps"],
        judge_settings=given["judge_settings"],
        task_settings=given["task_settings"],
        limit=given.get("limit"),
        data=given["data"],
        output=given.get("out"),
        retry=frozenset(given["retry"]),
        probe=not given["no_probe"],
        devices=given["devices"],
        min_coverage=MIN_COVERAGE if given["min_coverage"] is None else given["min_coverage"],
        policy=Policy(start=concurrency, cap=concurrency) if concurrency else Policy(),
        command=("harness", *sys.argv[1:]),
    )


def _run(options: Any) -> Run:
    from harness.cli.interrupt import interruptible, resume_hint
    from harness.evaluation.samples import Stop
    from harness.progress import choose_progress
    from harness.runs.run import run_async

    progress, stop = choose_progress(sys.stderr), Stop()
    try:
        return interruptible(lambda: run_async(options, progress=progress, stop=stop), stop)
    except KeyboardInterrupt:
        tell(resume_hint(options.command))
        raise
    except HarnessError as error:
        if stop.asked:  # verdicts in flight are kept, whatever ended the run
            error.remedy = "\n  ".join(filter(None, (error.remedy, resume_hint(options.command))))
        raise


def _write(output: Path, text: str) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HarnessError("cannot write the table", where=str(error), remedy="give another --output") from None
    tell(f"wrote {output}")
