"""Trains: the data are mixed, the base is opened and fitted, and what came out becomes the output folder."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from harness import HarnessError, Training
from harness.lineage import FILE

from .cookbook import kind_of, recipe_for
from .data import mix, write
from .launching import alone, launch, main_process
from .methods import Method
from .mixture import Mixture
from .output.place import check_out, make_room
from .output.record import is_of, same
from .recipe import Recipe
from .saying import in_one_line, short

_SEEDS: Final = 1 << 32  #: as many as NumPy's generator takes, which the trainer seeds


def run(method: Method, training: Training) -> Path:
    """Train -> the folder of the trained model; one that is there already for the same training is left as it is.

    Raises:
        HarnessError: what the user can mend; nothing half-written is taken for a model.
    """
    recipe, mixture = prepared(method, training)
    if stands(method, training, recipe, mixture):
        sys.stderr.write(f"{training.out} holds this training already\n")
        return training.out
    check_out(training)  # before seconds go by until the others have been asked
    with in_environment(training):
        for refusal in _refusals(method, training, recipe, mixture):
            raise refusal
        make_room(training)
        sys.stderr.write("".join(f"{line}\n" for line in (*short(mixture), in_one_line(mixture, recipe))))
        if training.launch:
            return launch(method, training)
        return _released(train(method, training, recipe, mixture))


def _refusals(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> Iterator[HarnessError]:
    from .refusals import refusals
    from .sizing import outlook

    return refusals(method, training, recipe, mixture, outlook(method, training, recipe, mixture))


def _released(out: Path) -> Path:
    """Give the GPU's memory back, for an evaluation that may follow."""
    from .models.untyped import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return out


def train(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> Path:
    """Train in this process, which may be one of several, by what `prepared` gave."""
    from .models.opening import open_base
    from .output.finish import finish
    from .sft.fitting import fit

    base = open_base(training, recipe)
    fitted = fit(base, mixture, recipe, training, method)
    return finish(fitted, base, mixture, recipe, method, training) if main_process() else training.out


def prepared(method: Method, training: Training) -> tuple[Recipe, Mixture]:
    """Recipe and data. Raises HarnessError for what is wrong with them, or with the seed."""
    from .models.places import folder_of

    if not 0 <= training.seed < _SEEDS:
        raise HarnessError(f"--seed {training.seed}: a seed is a whole number from 0 to {_SEEDS - 1}")
    recipe = recipe_for(method, training, kind_of(folder_of(training.model)))
    return recipe, mix(method, training)


def export(method: Method, layout: str, training: Training) -> Path:
    """Write the data of a training for another trainer -> the file that is handed to it."""
    return write(layout, mix(method, training), training.out)


def stands(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> bool:
    """Whether the output is what this training would make, of a base whose files are as they were, and may stay."""
    from .models.places import folder_of

    if not training.resume or not (training.out / FILE).is_file():
        return False  # before a large base is hashed for nothing
    return same(training.out, is_of(training, method, recipe, mixture, folder_of(training.model)))


@contextlib.contextmanager
def in_environment(training: Training) -> Generator[None]:
    """The environment in which a training sees the devices it is meant to."""
    before = dict(os.environ)
    os.environ.update({} if training.launch else alone())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
