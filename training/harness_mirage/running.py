"""Trains: the data are mixed, the base is opened and fitted, and what came out becomes the output folder."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

from harness import HarnessError, Training
from harness.lineage import FILE

from .cookbook import kind_of, recipe_for
from .data import mix, write
from .launching import alone, launch, main_process
from .methods import Method
from .mixture import Mixture
from .output.record import is_of, same
from .recipe import Recipe
from .settings import asked


def run(method: Method, training: Training) -> Path:
    """Train -> the folder of the trained model; one that is there already for the same training is left as it is.

    Raises:
        HarnessError: what the user can mend; nothing half-written is taken for a model.
    """
    recipe, mixture = prepared(method, training)
    if training.resume and _stands(method, training, recipe, mixture):
        sys.stderr.write(f"{training.out} holds this training already\n")
        return training.out
    _free(training)
    with _in_environment({} if training.launch else alone()):
        from .estimate import check
        from .sizing import outlook

        ahead = outlook(method, training, recipe, mixture)
        check(ahead.size, recipe, ahead.devices, forced=asked(training, "device") == "cpu")
        del ahead
        return launch(method, training) if training.launch else _released(train(method, training))


def _released(out: Path) -> Path:
    """Give the GPU's memory back, for an evaluation that may follow."""
    from .models.untyped import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return out


def train(method: Method, training: Training) -> Path:
    """Train in this process, which may be one of several."""
    from .models.opening import open_base
    from .output.finish import finish
    from .sft.fitting import fit

    recipe, mixture = prepared(method, training)
    base = open_base(training, recipe)
    fitted = fit(base, mixture, recipe, training, method)
    return finish(fitted, base, mixture, recipe, method, training) if main_process() else training.out


def prepared(method: Method, training: Training) -> tuple[Recipe, Mixture]:
    """Recipe and data. Raises HarnessError for what is wrong with them."""
    from .models.places import folder_of

    recipe = recipe_for(method, training, kind_of(folder_of(training.model)))
    return recipe, mix(method, training)


def export(method: Method, layout: str, training: Training) -> Path:
    """Write the data of a training for another trainer -> the file that is handed to it."""
    return write(layout, mix(method, training), training.out)


def _stands(method: Method, training: Training, recipe: Recipe, mixture: Mixture) -> bool:
    """Whether the output is what this training would make, of a base whose files are as they were."""
    from .models.places import folder_of

    if not (training.out / FILE).is_file():
        return False  # before a large base is hashed for nothing
    return same(training.out, is_of(training, method, recipe, mixture, folder_of(training.model)))


def _free(training: Training) -> None:
    """Whether the output's name may be taken. Raises HarnessError."""
    out = training.out
    if training.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HarnessError(
            "something else is there already",
            where=str(out),
            remedy="name another --out, or --fresh: what is there is put aside once the new model stands",
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise HarnessError(
            "a new model is made beside its folder and takes its place when it is whole, and this one you are in",
            where=str(out.resolve()),
            remedy="name another --out, such as models/NAME",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"cannot write there: {error.strerror}", where=str(out)) from None


@contextlib.contextmanager
def _in_environment(more: dict[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
