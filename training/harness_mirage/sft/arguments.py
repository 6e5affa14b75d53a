"""A recipe in the words of TRL."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import fields
from typing import Any, Final

from harness import HarnessError, Training
from harness_mirage.models.untyped import Untyped, torch, trl
from harness_mirage.recipe import Recipe
from harness_mirage.settings import asked

from .scratch import Scratch

#: what accelerate sets for a model that is spread over devices
_SPREAD: Final = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
_LOGS: Final = {"tensorboard": "tensorboard", "wandb": "wandb"}


def arguments(training: Training, recipe: Recipe, scratch: Scratch) -> Untyped:
    """What TRL's trainer is told.

    Raises:
        HarnessError: the recipe's batch cannot be dealt out to the devices, a logger is not installed, or an adapter
            is to be merged into a model that is spread over devices.
    """
    check_merge(training, spread=any(os.environ.get(name) == "true" for name in _SPREAD))
    cpu = asked(training, "device") == "cpu" or not torch.cuda.is_available()
    micro, turns = dealt(recipe.batch.value, _devices(), asked(training, "micro_batch"), cpu=cpu)
    return trl.SFTConfig(
        output_dir=str(scratch.checkpoints),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=turns,
        use_cpu=cpu,
        bf16=recipe.precision.value == "bf16",
        dataloader_num_workers=asked(training, "workers"),
        dataloader_pin_memory=not cpu,
        save_steps=asked(training, "save_every"),
        report_to=_report(training, scratch),
        run_name=training.out.name,
        seed=training.seed,
        data_seed=training.seed,
        **_learning(recipe),
        **_HOUSE,
    )


def _learning(recipe: Recipe) -> dict[str, Any]:
    return {
        "num_train_epochs": recipe.epochs.value,
        "learning_rate": recipe.learning_rate.value,
        "lr_scheduler_type": recipe.schedule.value,
        "warmup_steps": recipe.warmup.value,  # below one: a share of the steps
        "weight_decay": recipe.weight_decay.value,
        "max_grad_norm": recipe.clip.value,
        "optim": recipe.optimizer.value,
        _checkpointing(): recipe.checkpointing.value,
    }


def _checkpointing() -> str:
    """What recomputing activations is called by this version of transformers."""
    known = {field.name for field in fields(trl.SFTConfig)}
    return "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"


#: Batches are made by our own collator: nothing is packed, cut or taken out of the rows.
_HOUSE: Final[dict[str, Any]] = {
    "max_length": None,
    "packing": False,
    "remove_unused_columns": False,
    "dataset_kwargs": {"skip_prepare_dataset": True},
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "save_strategy": "steps",
    "save_total_limit": 2,  # the one before stays until the next is whole
    "eval_strategy": "no",
    "disable_tqdm": True,
}


def dealt(batch: int, devices: int, micro: int | None, *, cpu: bool) -> tuple[int, int]:
    """Records a device holds at once, and how many such turns make a step.

    Raises:
        HarnessError: they cannot make the recipe's batch.
    """
    share, rest = divmod(batch, devices)
    if rest or not share:
        raise HarnessError(
            f"a batch of {batch} records cannot be dealt out to {devices} devices",
            remedy=f"use a batch that {devices} divides, in a recipe of your own, or another number of devices",
        )
    held = min(micro or (share if cpu else 1), share)
    if share % held:
        raise HarnessError(
            f"{share} records a device cannot be taken {held} at a time",
            remedy=f"-S micro_batch= one of {', '.join(str(n) for n in range(1, share + 1) if share % n == 0)}",
        )
    return held, share // held


def check_merge(training: Training, *, spread: bool) -> None:
    """Raises HarnessError where an adapter is to be merged into a model that is spread over devices."""
    if asked(training, "merge") and spread:
        raise HarnessError(
            "-S merge=true needs the whole model on one device, and it is spread over several",
            remedy="leave it out, and merge the adapter afterwards",
        )


def check_log(training: Training) -> None:
    """Raises HarnessError where the logger that is asked for is not installed."""
    log = asked(training, "log")
    if log != "none" and importlib.util.find_spec(_LOGS[log]) is None:
        raise HarnessError(f"-S log={log} needs a package", remedy=f"pip install {_LOGS[log]}, or leave it out")


def _devices() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _report(training: Training, scratch: Scratch) -> list[str]:
    check_log(training)
    log = asked(training, "log")
    if log == "none":
        return []
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(scratch.logs)  # the only way transformers takes it
    return [log]
