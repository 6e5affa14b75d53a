"""Completes a trained model in its scratch folder, and moves it to the output in one rename."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from harness import HarnessError, Training
from harness.lineage import FILE
from harness_mirage.methods import Method
from harness_mirage.mixture import Mixture
from harness_mirage.models.base import Base
from harness_mirage.recipe import Recipe
from harness_mirage.sft.fitted import Fitted
from harness_mirage.sft.scratch import no_room

from .card import NAME, card
from .losses import write as write_losses
from .record import hashes, record, written


def finish(fitted: Fitted, base: Base, mixture: Mixture, recipe: Recipe, method: Method, training: Training) -> Path:
    """The output folder: weights, processor, `README.md`, `training.json`, and the losses.

    Raises:
        HarnessError: the disk is full, or the output's name is taken; the scratch folder stays as it is.
    """
    folder = fitted.folder
    values = record(fitted, base, mixture, recipe, method, training)
    try:
        write_losses(folder, fitted.history)
        if fitted.scratch.logs.is_dir():
            fitted.scratch.logs.rename(folder / fitted.scratch.logs.name)
        (folder / NAME).write_text(card(values), encoding="utf-8")
        (folder / FILE).write_text(written({**values, "files": hashes(folder)}), encoding="utf-8")
    except OSError as error:
        raise no_room(error, fitted.scratch, "the record of the trained model") from error
    moved(folder, training.out, replace=not training.resume)
    shutil.rmtree(fitted.scratch.folder, ignore_errors=True)
    return training.out


def moved(folder: Path, out: Path, *, replace: bool) -> None:
    """Give a whole folder its name; what is there is put aside, hidden beside it, where it is to be replaced.

    Raises:
        HarnessError: the name is taken, or cannot be written.
    """
    try:
        if replace and out.exists():
            aside = out.with_name(f".{out.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
            out.rename(aside)
            sys.stderr.write(f"what was in {out} before is in {aside}\n")
        folder.rename(out)
    except OSError as error:
        raise HarnessError(
            f"the trained model cannot get its name: {error.strerror}", where=str(out), remedy=f"it stands in {folder}"
        ) from None
