"""`--dry-run`: the trainer's plan, and what the evaluation after it would lack."""

from __future__ import annotations

import json
from typing import Any

import click

from harness import MissingData, Trainer, Training
from harness.cli.configured import with_schemes, with_suites
from harness.terminal import plain

from .asking import base_of
from .evaluating import check


def show_plan(ctx: click.Context, trainer: Trainer, training: Training, given: dict[str, Any]) -> None:
    """Print the plan, and what the evaluation after it would lack."""
    lacking = checked(ctx, training, given, plan=True) if given["evaluate"] else []
    if not given["as_json"]:
        click.echo(trainer.plan(training))
        for line in lacking:
            click.echo(plain(f"\nthis machine would refuse it: {line}"))
        return
    found = _facts(trainer, training)
    found["refusals"] = [*found.get("refusals", ()), *lacking]
    click.echo(json.dumps(found, ensure_ascii=False, indent=1))


def _facts(trainer: Trainer, training: Training) -> dict[str, Any]:
    if trainer.facts is None:
        return {"method": trainer.name, "plan": trainer.plan(training)}
    return dict(trainer.facts(training))


def checked(ctx: click.Context, training: Training, given: dict[str, Any], *, plan: bool = False) -> list[str]:
    """Check the evaluation -> the data that it lacks, in a plan; a training does not begin without them.

    Raises:
        HarnessError: what `harness run` would raise.
    """
    with_schemes(ctx)
    with_suites(ctx)
    try:
        for note in check(base_of(training.model), given):
            click.echo(plain(f"note: {note}"), err=True)
    except MissingData as error:
        if not plan:
            raise
        return [str(error)]
    return []
