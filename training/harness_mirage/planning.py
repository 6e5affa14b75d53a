"""What a training would do: mixture, what learns, recipe with its sources, steps, memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness import HarnessError, Training
from harness.board.display import clock
from harness.terminal import plain

from .devices import Devices
from .estimate import UTILISATION, check, gib, need, seconds
from .methods import Method
from .mixture import Mixture, Part
from .models.table import table, text
from .recipe import Recipe
from .running import prepared
from .settings import asked
from .sizing import MEASURED, Outlook, outlook
from .values import FIELDS, SOURCES

_WHOSE: Final = {
    "paper": "the paper's",
    "paper, other model": "the paper's for {}, not for this model",
    "user": "yours",
}


def planned(method: Method, training: Training) -> str:
    """The plan as text; no weight is loaded and nothing is written.

    Raises:
        HarnessError: what would end the training before its first step.
    """
    recipe, mixture = prepared(method, training)
    ahead = outlook(method, training, recipe, mixture)
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
        *_verdict(ahead, recipe, training),
    ]
    return plain("\n".join(lines))


def _mixture(mixture: Mixture, training: Training) -> Iterator[str]:
    yield f"mixture: {len(mixture.records):,} records, seed {mixture.seed}, sha256 {mixture.digest[:16]}…"
    for part in mixture.parts:
        left = "".join(f"; {count:,} left out: {why}" for why, count in part.left_out.items() if count)
        yield f"  {_name(part)}: {part.taken:,} of {part.found:,}{left}"
        if part.licence:
            yield f"    {part.licence}"
    if training.hold_out:
        yield f"  held out: {', '.join(training.hold_out)}"


def _name(part: Part) -> str:
    labels = part.ingredient.labels
    return part.title + ("" if labels == "given" else f" ({labels.replace('_', ' ')})")


def _recipe(recipe: Recipe) -> Iterator[str]:
    yield f"recipe {recipe.name}: reproduces the recipe, not the numbers"
    for source in SOURCES:
        its = {name: getattr(recipe, name).value for name in FIELDS if getattr(recipe, name).source == source}
        if its:
            whose = _WHOSE.get(source, source).format(recipe.paper or "another model")
            yield f"  {whose}: " + ", ".join(f"{name} {_said(value)}" for name, value in its.items())
    if recipe.tuning.value != "full" and recipe.learning_rate.source != "user":
        yield "  note: this learning rate is one of full tuning; adapters want ten to fifty times as much"


def _said(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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


def _verdict(ahead: Outlook, recipe: Recipe, training: Training) -> Iterator[str]:
    try:
        check(ahead.size, recipe, ahead.devices, forced=asked(training, "device") == "cpu")
    except HarnessError as error:
        yield ""
        yield f"this machine would refuse it: {error}"
