"""Trains: the data are mixed, the base is opened and fitted, and what came out becomes the output folder."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import HarnessError, Training

from .cookbook import model_type, recipe_for
from .data import mix
from .launching import launch, main_process, wanted
from .methods import Method
from .output.record import is_of, same


def run(method: Method, training: Training) -> Path:
    """Train -> the folder of the trained model; one that is there already for the same training is left as it is.

    Raises:
        HarnessError: what the user can mend; nothing half-written is taken for a model.
    """
    if wanted(training):
        return launch(training)
    from .models.places import folder_of

    recipe = recipe_for(method, training, model_type(folder_of(training.model)))
    mixture = mix(method, training)
    identity = is_of(training, method, recipe, mixture)
    if same(training.out, identity) and training.resume:
        _say(f"{training.out} holds this training already\n")
        return training.out
    _free(training)
    from .estimate import check
    from .models.opening import open_base
    from .output.finish import finish
    from .sft.fitting import fit

    check(method, training, recipe, mixture)
    base = open_base(training, recipe)
    fitted = fit(base, mixture, recipe, training, method)
    return finish(fitted, base, mixture, recipe, method, training) if main_process() else training.out


def _free(training: Training) -> None:
    """Whether the output's name may be taken. Raises HarnessError."""
    out = training.out
    if training.resume and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HarnessError(
            "something else is there already",
            where=str(out),
            remedy="name another --out, or put it aside once the new model stands: --fresh",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"cannot write there: {error.strerror}", where=str(out)) from None


def _say(line: str) -> None:
    sys.stderr.write(line)
