"""A plan as JSON: `harness train … --dry-run --json`."""

from __future__ import annotations

from dataclasses import asdict

from harness import Json, Training

from .estimate import need, seconds
from .methods import Method
from .models.table import counted
from .output.record import of_mixture, of_recipe
from .planning import planned


def facts(method: Method, training: Training) -> dict[str, Json]:
    """What the plan says, under the names of training.json where both say it; sizes are bytes.

    Raises:
        HarnessError: as the plan.
    """
    plan = planned(method, training)
    ahead, recipe, mixture = plan.ahead, plan.recipe, plan.mixture
    its = need(ahead.size, recipe, ahead.devices)
    counts = counted(ahead.model, ahead.base.roles)
    return {
        "method": method.name,
        "model": training.model,
        "architecture": ahead.base.architecture,
        "out": str(training.out),
        "stands": plan.stands,
        "mixture": of_mixture(mixture, training),
        "parameters": {role: {"all": whole, "learnt": learnt} for role, (whole, learnt) in counts.items()},
        "recipe": of_recipe(recipe),
        "steps": ahead.steps,
        "devices": {**asdict(ahead.devices), "held": ahead.held, "turns": ahead.turns},
        "tokens": {"mean": ahead.size.tokens, "longest": ahead.size.longest},
        "memory": {**asdict(its), "whole": its.whole},
        "seconds": seconds(ahead.size, len(mixture.records) * recipe.epochs.value, recipe, ahead.devices),
        "refusals": [str(refusal) for refusal in plan.refusals],
    }
