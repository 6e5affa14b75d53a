"""Plans a training, or trains: the data are mixed, the base is opened and fitted, and the result becomes the output.

A plan, as text and as JSON, loads no weight and writes nothing.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from harness import HarnessError, Json, Training
from harness.board.display import format_duration
from harness.extras import check_modules
from harness.lineage import FILE
from harness.text import plain

from .data import mix
from .devices import check_launch, is_main_process, launch, single_gpu_environment
from .estimate import (
    MEASURED,
    UTILISATION,
    Forecast,
    check_memory,
    estimate_memory,
    estimate_seconds,
    forecast_training,
    format_bytes,
)
from .methods import Method, get_setting
from .mixture import Mixture
from .models.weights import check_weights, find_model_folder
from .output import check_out, has_identity, identify_training, make_room, mixture_json, recipe_json
from .recipe import FIELDS, SOURCES, Recipe, find_recipe, format_value, read_model_kind

_SOURCE_NAMES: Final = {
    "paper": "the paper's",
    "paper, other model": "the paper's for {model}, not for this model",
    "paper, other method": "the paper's for {method}, not for this method",
    "paper, other model and method": "the paper's for {method} on {model}, not for this method and model",
    "user": "yours",
}
_NEEDED: Final = ("torch", "transformers", "accelerate", "peft", "trl", "datasets")
_SEEDS: Final = 1 << 32  #: as many as NumPy's generator takes, which the trainer seeds


def run_training(method: Method, training: Training) -> Path:
    """Train -> the folder of the trained model; a model that the same training made already is kept.

    Raises:
        HarnessError: an error that the user can fix; nothing half-written is taken for a model.
    """
    check_modules(*_NEEDED, extras=("hf", "train"), by="training")
    recipe, mixture = prepare(method, training)
    if is_done(method, training, recipe, mixture):
        sys.stderr.write(f"{training.out} holds this training already\n")
        return training.out
    check_out(training)  # at once: the other checks take seconds
    with training_environment(training):
        forecast = forecast_training(method, training, recipe, mixture)
        for refusal in find_refusals(method, training, recipe, mixture, forecast):
            raise refusal
        make_room(training)
        for part in mixture.parts:
            if part.lacks:
                found = f"{part.title} has {part.taken:,} records to learn from"
                sys.stderr.write(f"note: {found}, and {part.ingredient.count:,} were wanted\n")
        sys.stderr.write(f"{mixture.summary}; recipe {recipe.name}\n")
        if training.launch:
            return launch(method, training)
        out = train(method, training, recipe, mixture)
        from .models.untyped import torch

        gc.collect()  # an evaluation that follows needs the GPU's memory
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return out


def prepare(method: Method, training: Training) -> tuple[Recipe, Mixture]:
    """Recipe and data of a training. Raises HarnessError for what is wrong with them, or with the seed."""
    if not 0 <= training.seed < _SEEDS:
        raise HarnessError(f"--seed {training.seed}: a seed is a whole number from 0 to {_SEEDS - 1}")
    recipe = find_recipe(method, training, read_model_kind(find_model_folder(training.model)))
    return recipe, mix(method, training)


def is_done(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> bool:
    """Whether the output holds what this training would make, of a base with the same files, and may stay."""
    if not training.resume or not (training.out / FILE).is_file():
        return False  # a large base is not hashed for nothing
    identity = identify_training(training, method, recipe, mixture, find_model_folder(training.model))
    return has_identity(training.out, identity)


def train(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> Path:
    """Train in this process, which may be one of several, by what `prepare` gave."""
    from .models.base import open_base
    from .output import finish
    from .sft.trainer import fit

    base = open_base(training, recipe)
    fitted = fit(base, mixture, recipe, training, method)
    return finish(fitted, base, mixture, recipe, method, training) if is_main_process() else training.out


def find_refusals(
    method: Method, training: Training, recipe: Recipe, mixture: Mixture, forecast: Forecast
) -> Iterator[HarnessError]:
    """Each reason why the training cannot begin on this machine; the cheapest checks come first."""
    from .models.base import check_optimizer, check_quantized
    from .sft.batches import ChatEncoder, TokenCounter, check_lengths
    from .sft.save import Scratch
    from .sft.trainer import check_log, check_merge, identify_checkpoints

    base = forecast.base

    def check_spread() -> None:
        check_merge(training, spread=forecast.devices.sharding != "none")
        if training.launch:
            check_launch(training)

    def check_partial() -> None:
        scratch = Scratch.of(training.out)
        if training.resume and scratch.identity.is_file():  # else a large base need not be hashed
            scratch.check(identify_checkpoints(base, mixture, recipe, training, method))

    def check_records() -> None:
        encoder = ChatEncoder(base.frontend, base.chat, base.mark)
        counter = TokenCounter(base.frontend, base.mark, recipe.pixels.value)
        lengths = (counter.count(record, encoder.encode(record)) for record in mixture.records)
        check_lengths(lengths, recipe.max_length.value)

    forced = get_setting(training, "device") == "cpu"
    checks: tuple[Callable[[], object], ...] = (
        partial(check_out, training),
        partial(check_log, training),
        partial(check_quantized, recipe),
        partial(check_optimizer, recipe),
        check_spread,
        partial(check_memory, forecast.size, recipe, forecast.devices, forced=forced),
        partial(check_weights, base.folder),
        check_partial,
        check_records,
    )
    for check in checks:
        try:
            check()
        except HarnessError as error:
            yield error


@contextlib.contextmanager
def training_environment(training: Training) -> Generator[None]:
    """The environment in which a training sees the devices that it should use."""
    before = dict(os.environ)
    os.environ.update({} if training.launch else single_gpu_environment())
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # TRL reports each training to the hub otherwise
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


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
    from .models.roles import count_parameters

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
    from .models.roles import format_roles

    preview = preview_training(method, training)
    mixture, recipe, forecast = preview.mixture, preview.recipe, preview.forecast
    base, devices = forecast.base, forecast.devices
    lines = [f"{method.name} on {training.model} ({base.architecture}), to {training.out}", ""]
    lines.append(f"mixture: {len(mixture.records):,} records, seed {mixture.seed}, sha256 {mixture.digest[:16]}…")
    for part in mixture.parts:
        left = "".join(f"; {count:,} left out: {why}" if count else f"; {why}" for why, count in part.left_out.items())
        lines.append(f"  {part.title}: {part.amount}{left}")
        if part.licence:
            lines.append(f"    {part.licence}")
    if training.hold_out:
        lines.append(f"  held out: {', '.join(training.hold_out)}")
    lines += ["", format_roles(forecast.model, base.roles).rstrip(), ""]

    lines.append(f"recipe {recipe.name}: reproduces the recipe, not the numbers")
    names = {"model": recipe.paper or "another model", "method": recipe.method or "another method"}
    for source in SOURCES:
        values = {name: getattr(recipe, name).value for name in FIELDS if getattr(recipe, name).source == source}
        if values:
            whose = _SOURCE_NAMES.get(source, source).format(**names)
            lines.append(f"  {whose}: " + ", ".join(f"{name} {format_value(value)}" for name, value in values.items()))
    if recipe.tuning.value != "full" and recipe.learning_rate.source != "user":
        lines.append("  note: this learning rate is one of full tuning; adapters want ten to fifty times as much")

    memory = estimate_memory(forecast.size, recipe, devices)
    dealt = f"devices: {devices.count}, at once: {forecast.held}, turns: {forecast.turns}"
    lines += ["", f"steps: {forecast.steps:,}, each of {recipe.batch.value} records; {dealt}"]
    measured = min(MEASURED, len(mixture.records))
    lines.append(f"a record: about {forecast.size.tokens:,.0f} tokens, of {measured} that were measured")
    lines.append(
        f"memory of a device: about {format_bytes(memory.whole)}: weights {format_bytes(memory.weights)},"
        f" gradients {format_bytes(memory.gradients)}, optimizer {format_bytes(memory.optimizer)},"
        f" activations {format_bytes(memory.activations)}"
    )
    if memory.host:
        lines.append(f"memory of the host: about {format_bytes(memory.host)}")
    several = f", {devices.count} of them" if devices.count > 1 else ""
    sharded = f", sharded by {devices.sharding}" if devices.sharding != "none" else ""
    assumed = "" if devices.there else " (assumed: there is no GPU here)"
    where = f"{devices.name}{several}{sharded}{assumed}"
    lines.append(f"time: about {format_duration(preview.seconds)}, at {UTILISATION:.0%} of the peak of {where}")
    if preview.done or preview.refusals:
        lines.append("")
    if preview.done:
        lines.append(f"{training.out} holds this training already: nothing would be trained")
    lines += [f"this machine would refuse it: {refusal}" for refusal in preview.refusals]
    return plain("\n".join(lines))
