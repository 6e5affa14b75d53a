"""The settings that `-S` takes for every method; hyperparameters are values of the recipe instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness import Setting, Training

SETTINGS: Final = (
    Setting(
        name="skip_bad",
        type=bool,
        default=False,
        identity=True,
        help="train without records that cannot be learnt from, and count them, instead of refusing the data",
    ),
    Setting(
        name="general_count",
        type=int,
        default=None,
        identity=True,
        help="records of the ingredient `general`; not set: as many as the method says; 0 leaves it out",
        least=0,
    ),
    Setting(
        name="general_share",
        type=float,
        default=None,
        identity=True,
        help="the ingredient `general` as a share of the whole mixture, from 0 to below 1, instead of a count",
        least=0,
    ),
    Setting(
        name="trust_remote_code",
        type=bool,
        default=False,
        identity=False,
        help="run the Python code that comes with the model",
    ),
    Setting(
        name="device",
        type=str,
        default="auto",
        identity=False,
        help="auto takes the GPU where there is one",
        choices=("auto", "cpu"),
    ),
    Setting(
        name="micro_batch",
        type=int,
        default=None,
        identity=False,
        help="records that one device holds at once; not set: 1 on a GPU, as many as fit the recipe's batch on a CPU",
        least=1,
    ),
    Setting(
        name="save_every",
        type=int,
        default=100,
        identity=False,
        help="steps between two checkpoints, from which a training goes on after it was stopped",
        least=1,
    ),
    Setting(
        name="log",
        type=str,
        default="none",
        identity=False,
        help="also write the losses for TensorBoard or Weights & Biases",
        choices=("none", "tensorboard", "wandb"),
    ),
    Setting(
        name="merge",
        type=bool,
        default=False,
        identity=False,
        help="write LoRA into the weights: a whole model in place of an adapter",
    ),
    Setting(
        name="threads",
        type=int,
        default=None,
        identity=False,
        help="CPU threads; not set: one for a small model, torch's own number for a large one",
        least=1,
    ),
    Setting(
        name="workers",
        type=int,
        default=0,
        identity=False,
        help="processes that open and cut images ahead; 0 does it in the training's own",
        least=0,
    ),
)
_DEFAULTS: Final[Mapping[str, Any]] = {setting.name: setting.default for setting in SETTINGS}


def get_setting(training: Training, name: str) -> Any:
    """A setting's value, or its default."""
    return training.settings.get(name, _DEFAULTS[name])
