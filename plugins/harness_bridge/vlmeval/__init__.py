"""The flags of `harness bridge vlmeval`, and what it prints at the end."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.one_model import chosen, model_flags
from harness.cli.options import FiniteRange, show_examples
from harness.text import say


@click.command(
    "vlmeval",
    epilog=show_examples(
        "harness bridge vlmeval --model mini/base -- --data MMStar",
        "harness bridge vlmeval --model openai/NAME --max-tokens 512 -- --data MMStar MUIRBench",
    ),
)
@model_flags
@click.option(
    "--python",
    default="",
    metavar="INTERPRETER",
    help="Python that has VLMEvalKit; default: HARNESS_VLMEVAL_PYTHON, else this one.",
)
@click.option("--temperature", type=FiniteRange(0), default=0.0, show_default=True, help="Of each answer.")
@click.option("--max-tokens", type=click.IntRange(1), default=2048, show_default=True, help="Of each answer.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="-- FLAGS OF VLMEVALKIT")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run VLMEvalKit's command line with one of our models.

    Flags after -- are VLMEvalKit's: --data, --work-dir, --api-nproc and so on. The model is added, and
    `--judge exact_matching` if no judge is named. Exit codes: 0 done, 2 an error you can fix, 3 done but a data set or
    a sample failed.
    """
    from harness import Generation

    from .running import run_vlmeval

    spec, policy = chosen(ctx, given)
    settings = Generation(temperature=given["temperature"], max_tokens=given["max_tokens"])
    run = run_vlmeval(spec, policy, settings, python=given["python"], flags=given["flags"])
    asked = sum(run.outcomes.values())
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(run.outcomes.items())) or "none"
    say(f"{run.model}: {asked} answers asked for: {counts}", err=True)
    if not asked and not run.help:
        click.echo("  VLMEvalKit reused answers from its folder; --work-dir names another one", err=True)
    for reason, count in sorted(run.reasons.items(), key=lambda each: -each[1])[:5]:
        say(f"  {count} times {reason}", err=True)
    if asked > run.outcomes["answered"]:
        click.echo("  VLMEvalKit got its fail string for samples without an answer and counts them as wrong", err=True)
    for name, words in run.failed.items():
        say(f"  {name}: {words}", err=True)
    say(f"results: {run.folder}", err=True)
    return 3 if run.failed or run.outcomes["error"] or run.outcomes["bad_sample"] else 0
