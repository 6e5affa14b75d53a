"""A method as a Trainer: what `harness train` calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from harness import Trainer, Training

from .methods import Method
from .settings import SETTINGS


def trainer(method: Method) -> Trainer:
    """The Trainer of a method; nothing heavy is imported before it plans or trains."""
    return Trainer(
        name=method.name,
        description=method.description,
        plan=partial(_plan, method),
        train=partial(_train, method),
        settings=SETTINGS,
    )


def _plan(method: Method, training: Training) -> str:
    from .planning import planned

    return planned(method, training)


def _train(method: Method, training: Training) -> Path:
    from .running import run

    return run(method, training)
