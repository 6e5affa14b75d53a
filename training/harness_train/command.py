"""The flags of `harness train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.cli.config import suites_flag
from harness.cli.flags import JudgeName, Names
from harness.cli.options import load_host, parse_pairs, plugin_options, show_examples
from harness.text import plain, say

if TYPE_CHECKING:
    from harness import Trainer, Training


def _pairs(_: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    return parse_pairs(texts, param.opts[0])


@click.command(
    "train",
    epilog=show_examples(
        "harness train --list", "harness train mirage --model FOLDER --data mis_train/ --out tuned --dry-run"
    ),
)
@click.argument("method", required=False)
@click.option("--list", "listed", is_flag=True, help="List the methods and what -S takes, and train nothing.")
@click.option("--model", default="", metavar="ID_OR_PATH", help="What is trained: a folder, a hub id, or SCHEME/NAME.")
@click.option(
    "--data",
    multiple=True,
    metavar="[NAME=]PATH",
    help="Data of the method's ingredient NAME; without a name, of its main one. Repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Folder of the new model.")
@click.option(
    "--recipe", default="", metavar="NAME|FILE.yaml", help="Another row of the recipes, or a recipe of your own."
)
@click.option("--set", "overrides", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Value of the recipe.")
@click.option("-S", "settings", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Setting of the trainer.")
@click.option(
    "--hold-out",
    type=Names(),
    default="",
    metavar="NAME[,…]",
    help="Categories whose records are left out of the training, to evaluate with.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the mixture and of the training.")
@click.option("--launch", default="", metavar="NAME|FILE", help="Train on several devices or nodes, by accelerate.")
@click.option(
    "--resume/--fresh",
    default=True,
    help="Continue from the last checkpoint, or start again and move an old model aside.  [default: resume]",
)
@click.option("--dry-run", is_flag=True, help="Show mixture, recipe, steps, memory and time, and train nothing.")
@click.option("--export", metavar="FORMAT", help="Write the mixture into --out for another trainer, and train nothing.")
@click.option(
    "--evaluate", type=Names(), default="", metavar="NAME[:SPLIT][,…]", help="Then run these tasks on the new model."
)
@click.option(
    "--judge",
    "judges",
    type=JudgeName(),
    multiple=True,
    envvar="HARNESS_JUDGE",
    metavar="MODEL|RUBRIC|RUBRIC=MODEL",
    help="With --evaluate: who judges; repeatable.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="With --evaluate: first N clusters of each split.")
@click.option("--compare", is_flag=True, help="With --evaluate: run the base as well, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@suites_flag
@plugin_options
@click.pass_context
def command(ctx: click.Context, /, method: str | None, **given: Any) -> int:
    """Train a model by a method, and evaluate what came out.

    METHOD is a name of `harness train --list`, or a YAML file that describes one. The same command again goes on from
    the last checkpoint, and leaves a model that stands already. Exit codes as `harness run`.
    """
    typed = {name for name in given if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if "evaluate" in typed and not given["evaluate"]:
        raise click.UsageError("--evaluate names no task")
    if given["evaluate"] and given["export"] is not None:
        raise click.UsageError("--export trains nothing, so there is nothing to --evaluate")
    for flag, name in (("--judge", "judges"), ("--limit", "limit"), ("--compare", "compare")):
        if name in typed and not given["evaluate"]:
            raise click.UsageError(f"{flag} says nothing without --evaluate")
    host = load_host(ctx)
    from .request import build_request, name_model, show_list

    if given["listed"]:
        show_list(host, method, as_json=given["as_json"])
        return 0
    trainer, training = build_request(host, method, given)
    if given["dry_run"]:
        _show_plan(ctx, trainer, training, given)
        return 0
    if given["export"] is not None:
        file = str(trainer.exports[given["export"]](training))
        click.echo(json.dumps({"exported": file}) if given["as_json"] else file)
        return 0
    base = name_model(training.model)
    if given["evaluate"]:
        from .evaluation import check_evaluation

        check_evaluation(ctx, training, given)
    folder = trainer.train(training)
    say(f"trained: {folder}", err=True)
    if given["evaluate"]:
        from .evaluation import evaluate

        return evaluate(ctx, folder, base, given)
    if given["as_json"]:
        click.echo(json.dumps({"trained": str(folder)}))
    return 0


def _show_plan(ctx: click.Context, trainer: Trainer, training: Training, given: dict[str, Any]) -> None:
    """Print the plan, and what the evaluation after it would lack."""
    lacking: list[str] = []
    if given["evaluate"]:
        from .evaluation import check_evaluation

        lacking = check_evaluation(ctx, training, given, allow_missing=True)
    if not given["as_json"]:
        click.echo(trainer.plan(training))
        for line in lacking:
            click.echo(plain(f"\nthis machine would refuse it: {line}"))
        return
    found: dict[str, Any] = (
        {"method": trainer.name, "plan": trainer.plan(training)}
        if trainer.facts is None
        else dict(trainer.facts(training))
    )
    found["refusals"] = [*found.get("refusals", ()), *lacking]
    click.echo(json.dumps(found, ensure_ascii=False, indent=1))
