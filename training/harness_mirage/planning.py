"""What a training would do: mixture, what learns, recipe with its sources, steps, memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness import HarnessError, Training
from harness.board.display import clock
from harness.terminal import plain

from . import saying
from .devices import Devices
from .estimate import UTILISATION, gib, need, seconds
from .methods import Method
from .mixture import Mixture
from .models.table import table, text
from .recipe import Recipe
from .refusals import refusals
from .running import in_environment, prepared, stands
from .sizing import MEASURED, Outlook, outlook
from .values import FIELDS, SOURCES

_WHOSE: Final = {
    "paper": "the paper's",
    "paper, other model": "the paper's for {model}, not for this model",
    "paper, other method": "the paper's for {method}, not for this method",
    "paper, other model and method": "the paper's for {method} on {model}, not for this method and model",
    "user": "yours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training that is thought through to its first step.

    Attributes:
        recipe, mixture: of it.
        ahead: how large it is.
        stands: the output holds what it would make.
        refusals: why it would not begin here; none where it stands.
    """

    recipe: Recipe
    mixture: Mixture
    ahead: Outlook
    stands: bool
    refusals: tuple[HarnessError, ...]


def planned(method: Method, training: Training) -> Plan:
    """Think a training through; no weight is loaded and nothing is written.

    Raises:
        HarnessError: what is wrong with what was asked, on any machine.
    """
    recipe, mixture = prepared(method, training)
    with in_environment(training):
        ahead = outlook(method, training, recipe, mixture)
        done = stands(method, training, recipe, mixture)
        found = () if done else tuple(refusals(method, training, recipe, mixture, ahead))
    return Plan(recipe=recipe, mixture=mixture, ahead=ahead, stands=done, refusals=found)


def in_words(method: Method, training: Training) -> str:
    """The plan as text; no weight is loaded and nothing is written.

    Raises:
        HarnessError: what would end the training before its first step.
    """
    plan = planned(method, training)
    ahead, recipe, mixture = plan.ahead, plan.recipe, plan.mixture
    lines = [
        f"{method.name} on {training.model} ({ahead.base.architecture}), to {training.out}",
        "",
        *_mixture(mixture, training),
        "",
        text(table(ahead.model, ahead.base.roles)).rstrip(),
        "",
        *_recipe(recipe),
        "",
        *_effort(ahead, recipe, mixture),
        *_verdict(plan, training),
    ]
    return plain("\n".join(lines))


def _mixture(mixture: Mixture, training: Training) -> Iterator[str]:
    yield f"mixture: {len(mixture.records):,} records, seed {mixture.seed}, sha256 {mixture.digest[:16]}…"
    for part in mixture.parts:
        left = "".join(f"; {count:,} left out: {why}" if count else f"; {why}" for why, count in part.left_out.items())
        yield f"  {saying.name(part)}: {saying.amount(part)}{left}"
        if part.licence:
            yield f"    {part.licence}"
    if training.hold_out:
        yield f"  held out: {', '.join(training.hold_out)}"


def _recipe(recipe: Recipe) -> Iterator[str]:
    yield f"recipe {recipe.name}: reproduces the recipe, not the numbers"
    for source in SOURCES:
        its = {name: getattr(recipe, name).value for name in FIELDS if getattr(recipe, name).source == source}
        if its:
            named = {"model": recipe.paper or "another model", "method": recipe.method or "another method"}
            whose = _WHOSE.get(source, source).format(**named)
            yield f"  {whose}: " + ", ".join(f"{name} {saying.value(value)}" for name, value in its.items())
    if recipe.tuning.value != "full" and recipe.learning_rate.source != "user":
        yield "  note: this learning rate is one of full tuning; adapters want ten to fifty times as much"


def _effort(ahead: Outlook, recipe: Recipe, mixture: Mixture) -> Iterator[str]:
    size, its = ahead.size, need(ahead.size, recipe, ahead.devices)
    dealt = f"devices: {ahead.devices.count}, at once: {ahead.held}, turns: {ahead.turns}"
    yield f"steps: {ahead.steps:,}, each of {recipe.batch.value} records; {dealt}"
    yield f"a record: about {size.tokens:,.0f} tokens, of {min(MEASURED, len(mixture.records))} that were measured"
    yield (
        f"memory of a device: about {gib(its.whole)}: weights {gib(its.weights)}, gradients {gib(its.gradients)},"
        f" optimizer {gib(its.optimizer)}, activations {gib(its.activations)}"
    )
    if its.host:
        yield f"memory of the host: about {gib(its.host)}"
    took = seconds(size, len(mixture.records) * recipe.epochs.value, recipe, ahead.devices)
    yield f"time: about {clock(took)}, at {UTILISATION:.0%} of the peak of {_where(ahead.devices)}"


def _where(devices: Devices) -> str:
    several = f", {devices.count} of them" if devices.count > 1 else ""
    sharded = f", sharded by {devices.sharding}" if devices.sharding != "none" else ""
    assumed = "" if devices.there else " (assumed: there is no GPU here)"
    return f"{devices.name}{several}{sharded}{assumed}"


def _verdict(plan: Plan, training: Training) -> Iterator[str]:
    if plan.stands or plan.refusals:
        yield ""
    if plan.stands:
        yield f"{training.out} holds this training already: nothing would be trained"
    for refusal in plan.refusals:
        yield f"this machine would refuse it: {refusal}"
