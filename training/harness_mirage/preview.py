"""The plan of a training, as text and as JSON: mixture, what learns, recipe with its sources, steps, memory and time.

No weight is loaded and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from harness import HarnessError, Json, Training
from harness.board.display import format_duration
from harness.text import plain

from .estimate import (
    MEASURED,
    UTILISATION,
    Forecast,
    estimate_memory,
    estimate_seconds,
    forecast_training,
    format_bytes,
)
from .methods import Method
from .mixture import Mixture
from .models.roles import count_parameters, format_roles
from .recipe import FIELDS, SOURCES, Recipe, format_value
from .record import mixture_json, recipe_json
from .run import find_refusals, is_done, prepare, training_environment

_SOURCE_NAMES: Final = {
    "paper": "the paper's",
    "paper, other model": "the paper's for {model}, not for this model",
    "paper, other method": "the paper's for {method}, not for this method",
    "paper, other model and method": "the paper's for {method} on {model}, not for this method and model",
    "user": "yours",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A training that is thought through to its first step.

    Attributes:
        recipe, mixture, forecast: of it.
        done: the output already holds what it would make.
        refusals: why it would not begin here; empty if it is done.
        seconds: that it would take.
    """

    recipe: Recipe
    mixture: Mixture
    forecast: Forecast
    done: bool
    refusals: tuple[HarnessError, ...]
    seconds: float


def preview_training(method: Method, training: Training) -> Preview:
    """Think a training through. Raises HarnessError for what is wrong with the request on any machine."""
    recipe, mixture = prepare(method, training)
    with training_environment(training):
        forecast = forecast_training(method, training, recipe, mixture)
        done = is_done(method, training, recipe, mixture)
        refusals = () if done else tuple(find_refusals(method, training, recipe, mixture, forecast))
    records = len(mixture.records) * recipe.epochs.value
    seconds = estimate_seconds(forecast.size, records, recipe, forecast.devices)
    return Preview(recipe=recipe, mixture=mixture, forecast=forecast, done=done, refusals=refusals, seconds=seconds)


def preview_json(method: Method, training: Training) -> dict[str, Json]:
    """The plan under the names of training.json where both say it; sizes are bytes. Raises as `preview_training`."""
    preview = preview_training(method, training)
    forecast, recipe = preview.forecast, preview.recipe
    memory = estimate_memory(forecast.size, recipe, forecast.devices)
    counts = count_parameters(forecast.model, forecast.base.roles)
    return {
        "method": method.name,
        "model": training.model,
        "architecture": forecast.base.architecture,
        "out": str(training.out),
        "stands": preview.done,
        "mixture": mixture_json(preview.mixture, training),
        "parameters": {role: {"all": whole, "learnt": learnt} for role, (whole, learnt) in counts.items()},
        "recipe": recipe_json(recipe),
        "steps": forecast.steps,
        "devices": {**asdict(forecast.devices), "held": forecast.held, "turns": forecast.turns},
        "tokens": {"mean": forecast.size.tokens, "longest": forecast.size.longest},
        "memory": {**asdict(memory), "whole": memory.whole},
        "seconds": preview.seconds,
        "refusals": [str(refusal) for refusal in preview.refusals],
    }


def render_preview(method: Method, training: Training) -> str:
    """The plan as text. Raises as `preview_training`."""
    preview = preview_training(method, training)
    base = preview.forecast.base
    lines = [
        f"{method.name} on {training.model} ({base.architecture}), to {training.out}",
        "",
        *_render_mixture(preview.mixture, training),
        "",
        format_roles(preview.forecast.model, base.roles).rstrip(),
        "",
        *_render_recipe(preview.recipe),
        "",
        *_render_effort(preview),
    ]
    if preview.done or preview.refusals:
        lines.append("")
    if preview.done:
        lines.append(f"{training.out} holds this training already: nothing would be trained")
    lines += [f"this machine would refuse it: {refusal}" for refusal in preview.refusals]
    return plain("\n".join(lines))


def _render_mixture(mixture: Mixture, training: Training) -> Iterator[str]:
    yield f"mixture: {len(mixture.records):,} records, seed {mixture.seed}, sha256 {mixture.digest[:16]}…"
    for part in mixture.parts:
        left = "".join(f"; {count:,} left out: {why}" if count else f"; {why}" for why, count in part.left_out.items())
        yield f"  {part.title}: {part.amount}{left}"
        if part.licence:
            yield f"    {part.licence}"
    if training.hold_out:
        yield f"  held out: {', '.join(training.hold_out)}"


def _render_recipe(recipe: Recipe) -> Iterator[str]:
    yield f"recipe {recipe.name}: reproduces the recipe, not the numbers"
    names = {"model": recipe.paper or "another model", "method": recipe.method or "another method"}
    for source in SOURCES:
        values = {name: getattr(recipe, name).value for name in FIELDS if getattr(recipe, name).source == source}
        if values:
            whose = _SOURCE_NAMES.get(source, source).format(**names)
            yield f"  {whose}: " + ", ".join(f"{name} {format_value(value)}" for name, value in values.items())
    if recipe.tuning.value != "full" and recipe.learning_rate.source != "user":
        yield "  note: this learning rate is one of full tuning; adapters want ten to fifty times as much"


def _render_effort(preview: Preview) -> Iterator[str]:
    forecast, recipe = preview.forecast, preview.recipe
    devices, memory = forecast.devices, estimate_memory(forecast.size, recipe, forecast.devices)
    dealt = f"devices: {devices.count}, at once: {forecast.held}, turns: {forecast.turns}"
    yield f"steps: {forecast.steps:,}, each of {recipe.batch.value} records; {dealt}"
    measured = min(MEASURED, len(preview.mixture.records))
    yield f"a record: about {forecast.size.tokens:,.0f} tokens, of {measured} that were measured"
    yield (
        f"memory of a device: about {format_bytes(memory.whole)}: weights {format_bytes(memory.weights)},"
        f" gradients {format_bytes(memory.gradients)}, optimizer {format_bytes(memory.optimizer)},"
        f" activations {format_bytes(memory.activations)}"
    )
    if memory.host:
        yield f"memory of the host: about {format_bytes(memory.host)}"
    several = f", {devices.count} of them" if devices.count > 1 else ""
    sharded = f", sharded by {devices.sharding}" if devices.sharding != "none" else ""
    assumed = "" if devices.there else " (assumed: there is no GPU here)"
    where = f"{devices.name}{several}{sharded}{assumed}"
    yield f"time: about {format_duration(preview.seconds)}, at {UTILISATION:.0%} of the peak of {where}"
