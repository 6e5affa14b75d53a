"""`harness bridge lm-eval`: the flags; all else is imported when it runs."""

from __future__ import annotations

from typing import Any

import click

from harness.cli.one_model import chosen, model_flags
from harness.cli.options import show_examples
from harness.extras import require


@click.command(
    "lm-eval",
    epilog=show_examples(
        "harness bridge lm-eval --model mini/base -- --tasks NAME --apply_chat_template",
        "harness bridge lm-eval --model openai/NAME --on-failure empty -- --tasks NAME",
    ),
)
@model_flags
@click.option(
    "--on-failure",
    type=click.Choice(["stop", "empty"]),
    default="stop",
    show_default=True,
    help="A sample without an answer: stop before scoring, or let lm-eval count an empty text (exit 3).",
)
@click.argument("theirs", nargs=-1, type=click.UNPROCESSED, metavar="-- LM-EVAL'S FLAGS")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> int:
    """Run lm-eval's own command line with one of our models.

    harness bridge lm-eval --model mini/base -- --tasks NAME --include_path DIR --apply_chat_template --log_samples

    The bridge sets --model and --model_args. Exit codes: 0 done, 2 an error you can fix, 3 done, but samples
    without an answer were counted as empty ones.
    """
    with require("lm-eval", by="the bridge to lm-eval"):
        from .running import run_lm_eval
    spec, policy = chosen(ctx, given)
    return run_lm_eval(spec, policy, given["theirs"], stops=given["on_failure"] == "stop")
