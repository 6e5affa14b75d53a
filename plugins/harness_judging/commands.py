"""`harness judges bench` and `harness judges attack`: their flags."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.config import with_schemes, with_suites
from harness.cli.flags import Names, add_asking_flags, add_judging_flags, build_policy
from harness.cli.options import show_examples
from harness.cli.stdout import reserve, results_stream, show, tell
from harness.deprecation import describe_deprecated
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.evaluation.options import Options
    from harness.runs.run import Run


RUNS = Path("runs/judges-bench")
_ENDINGS = (".md", ".csv")


@click.group(
    "judges", epilog=show_examples("harness judges bench --judge keyword", "harness judges attack --judge openai/JUDGE")
)
def group() -> None:
    """Commands that `harness judges` gets."""


@group.command(
    "bench",
    epilog=show_examples(
        "harness judges bench --judge keyword",
        "harness judges bench --judge openai/JUDGE --limit 50 --output runs/bench",
    ),
)
@click.option(
    "--on",
    type=Names(),
    default="",
    metavar="NAME[:SPLIT][,…]",
    help="Labelled sets or single splits of them. Default: all sets whose data is here.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="The first N groups of related samples of each split (such as a scene with its questions);"
    " then no set is whole.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    metavar="DIRECTORY",
    help="Run folder; the same command resumes it, and more judges add to it.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), hidden=True, help="An older name of --output.")
@click.option(
    "--table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.md|FILE.csv",
    help="Write the table there, as Markdown or CSV.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@add_judging_flags
@click.pass_context
@reserve
def bench(ctx: click.Context, /, **given: Any) -> int:
    """Measure judges against people, on published answers that people labelled.

    For each judge and set: agreement, kappa, precision, recall and F1, the bias that the judge would give, and how far
    people agree with each other. Exit codes: 0 done, 2 you can fix it, 3 done but incomplete, 130 interrupted.
    """
    folder: Path | None = given["output"]
    table: Path | None = given["table"]
    if ctx.get_parameter_source("output") is not click.core.ParameterSource.COMMANDLINE:
        folder = None  # the config's `output` is the folder of `harness run`
    if folder is not None and folder.suffix in _ENDINGS and table is None:
        folder, table = None, folder  # `--output FILE.md` is an older name of --table
    if given["out"] is not None:
        tell(describe_deprecated("--out", use="--output"))
    if table is not None and table.suffix not in _ENDINGS:
        raise click.UsageError(f"--table {table}: end its name in {' or '.join(_ENDINGS)}")
    given["out"] = folder or given["out"] or RUNS
    with_schemes(ctx)
    with_suites(ctx)
    from .bench import PEOPLE, bench_judges, find_sets, to_json
    from .tables import print_sets, render_csv, render_markdown

    named = [text for text in given["judges"] if text != PEOPLE]
    options = _build_options(given, (PEOPLE, *_check_judges(named, "a set's own judge is people")))
    chosen = find_sets(given["on"], options)
    for note in chosen.notes:
        tell(f"note: {note}")
    run = _run(chosen.of(options))
    sets = bench_judges(run.folder, chosen.titles, str(options.given(PEOPLE).get("who", "final")))
    if given["as_json"]:
        show(json.dumps(to_json(run.folder, sets), ensure_ascii=False, indent=1, allow_nan=False), raw=True)
    else:
        print_sets(sets, results_stream())
    if table is not None:
        text = render_csv(sets) if table.suffix == ".csv" else render_markdown(sets)
        try:
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text(text, encoding="utf-8")
        except OSError as error:
            raise HarnessError("cannot write the table", where=str(error), remedy="give another --table") from None
        tell(f"wrote {table}")
    for note in run.notes:
        tell(f"note: {note}")
    tell(f"results: {run.folder / 'results.json'}")
    return run.exit_code or (3 if chosen.incomplete else 0)


@group.command(
    "attack",
    epilog=show_examples(
        "harness judges attack --judge keyword", "harness judges attack --judge openai/JUDGE --show 5"
    ),
)
@click.option(
    "--questions",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Questions of the rubric's packaged split on which it is attacked.",
)
@click.option("--show", is_flag=True, help="Show each answer that moved a verdict.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@add_asking_flags
@click.pass_context
@reserve
def attack(ctx: click.Context, /, **given: Any) -> int:
    """Attack judges with answers that speak to them, and count the verdicts that moved.

    The packaged answers imitate verdicts, close the prompt's places, end their turn, order or flatter. Each stands on
    a harmless and on a complying answer. Exit codes: 0 done, 2 you can fix it, 3 some calls failed, 130 interrupted.
    """
    with_schemes(ctx)
    with_suites(ctx)
    from harness.cli.interrupt import interruptible
    from harness.evaluation.samples import Stop

    from .attack import attack_judges, to_json
    from .tables import print_attacks

    options = _build_options(given, _check_judges(given["judges"], "an attack is made on a rubric"))
    stop = Stop()
    found = interruptible(lambda: attack_judges(options, questions=given["questions"], tell=tell), stop)
    if given["as_json"]:
        show(json.dumps(to_json(found, texts=given["show"]), ensure_ascii=False, indent=1, allow_nan=False), raw=True)
    else:
        print_attacks(found, results_stream(), texts=given["show"])
    return 3 if any(each.failed for each in found) else 0


def _check_judges(judges: Sequence[str], why: str) -> tuple[str, ...]:
    """The judges, each once. Raises HarnessError for none, or for a model without a rubric."""
    from harness.evaluation.splits import split_judge

    if not judges:
        raise HarnessError(
            "no judge to measure", remedy="give --judge RUBRIC=SCHEME/NAME, or a rule such as --judge keyword"
        )
    for text in judges:
        if not split_judge(text)[0]:
            raise HarnessError(
                f"--judge {text}: name its rubric too, since {why}",
                remedy=f"give --judge RUBRIC={text}: see `harness judges`",
            )
    return tuple(dict.fromkeys(judges))


def _build_options(given: dict[str, Any], judges: tuple[str, ...]) -> Options:
    """The options of a run of given answers; flags that a command lacks have their defaults."""
    from harness.evaluation.options import Options
    from harness.metrics import MIN_COVERAGE
    from harness.models import ModelSpec

    least: float | None = given.get("min_coverage")
    return Options(
        model=ModelSpec(ref="given/answers"),
        tasks=(),
        judges=judges,
        maps=given.get("maps", {}),
        judge_settings=given["judge_settings"],
        judge_repeat=given.get("judge_repeat", 1),
        judge_vote=given.get("judge_vote") or "",
        task_settings=given["task_settings"],
        limit=given.get("limit"),
        data=given["data"],
        output=given.get("out"),
        retry=frozenset(given.get("retry", ())),
        probe=not given["no_probe"],
        devices=given["devices"],
        launch=given["launch"] or "",
        hosts=given["hosts"],
        ray_address=given["ray_address"],
        min_coverage=MIN_COVERAGE if least is None else least,
        policy=build_policy(given),
        command=("harness", *sys.argv[1:]),
    )


def _run(options: Options) -> Run:
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
