"""Trains: the data are mixed, the base is opened and fitted, and what came out becomes the output folder."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import HarnessError, Training
from harness.lineage import FILE

from .data import mix
from .launch import check_launch, is_main_process, launch, single_gpu_environment
from .methods import Method
from .mixture import Mixture
from .models.weights import check_weights, find_model_folder
from .output import check_out, make_room
from .recipe import Recipe, find_recipe, read_model_kind
from .record import has_identity, identify_training
from .settings import get_setting

if TYPE_CHECKING:
    from .estimate import Forecast

_SEEDS: Final = 1 << 32  #: as many as NumPy's generator takes, which the trainer seeds


def run_training(method: Method, training: Training) -> Path:
    """Train -> the folder of the trained model; a model that the same training made already stays as it is.

    Raises:
        HarnessError: an error that the user can fix; nothing half-written is taken for a model.
    """
    recipe, mixture = prepare(method, training)
    if is_done(method, training, recipe, mixture):
        sys.stderr.write(f"{training.out} holds this training already\n")
        return training.out
    check_out(training)  # at once: the other checks take seconds
    with training_environment(training):
        from .estimate import forecast_training

        forecast = forecast_training(method, training, recipe, mixture)
        for refusal in find_refusals(method, training, recipe, mixture, forecast):
            raise refusal
        make_room(training)
        for part in mixture.parts:
            if part.lacks:
                found = f"{part.title} has {part.taken:,} records to learn from"
                sys.stderr.write(f"note: {found}, and {part.wanted:,} were wanted\n")
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
    from .estimate import check_memory
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
        scratch = Scratch.beside(training.out)
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
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
