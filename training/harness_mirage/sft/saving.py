"""Writes what was trained as a folder that `hf/` and `vllm/` load: an adapter or a whole model, and the processor.

The weights go back into the number format the base is stored in. What was frozen comes out bit by bit as it went in:
bfloat16 to float32 and back loses nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final, cast

from harness.local import ADAPTER_CONFIG, CONFIG
from harness_mirage.models.base import Base
from harness_mirage.models.untyped import Untyped, torch

_MODE: Final = 0o644  #: safetensors writes 600, which nobody else could read


def save(trainer: Untyped, base: Base, folder: Path, *, merge: bool) -> None:
    """Write model and processor; every process of a training on several devices calls this, and one writes.

    Args:
        trainer: that has trained.
        base: the model it started from.
        folder: to write; what lies in it goes.
        merge: write an adapter into the weights.
    """
    if merge and hasattr(trainer.model, "merge_and_unload"):
        if trainer.args.should_save:
            _save_whole(trainer.accelerator.unwrap_model(trainer.model).merge_and_unload(), None, base, folder)
    elif hasattr(trainer.model, "peft_config"):
        trainer.save_model(str(folder))
        _name_base(folder, base)
    else:
        weights = trainer.accelerator.get_state_dict(trainer.model)
        if trainer.args.should_save:
            _save_whole(trainer.accelerator.unwrap_model(trainer.model), weights, base, folder)
    if trainer.args.should_save:
        base.frontend.processor.save_pretrained(folder)
        for left in (folder / "training_args.bin", folder / "README.md"):  # they hold paths of this machine
            left.unlink(missing_ok=True)
        for code in base.folder.glob("*.py"):  # of a model with code of its own
            shutil.copyfile(code, folder / code.name)
        for file in folder.iterdir():
            if file.is_file():
                file.chmod(_MODE)
    trainer.accelerator.wait_for_everyone()  # nobody goes on before the folder stands


def _save_whole(model: Untyped, weights: dict[str, Untyped] | None, base: Base, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, state_dict=_cast(weights or model.state_dict(), base.dtype))
    if base.dtype:
        file = folder / CONFIG
        said = _named(json.loads(file.read_text(encoding="utf-8")), base.dtype)
        file.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _cast(weights: dict[str, Untyped], dtype: str) -> dict[str, Untyped]:
    """The weights in a number format; tied ones stay one tensor, or they would be saved twice."""
    known: dict[tuple[int, tuple[int, ...]], Untyped] = {}
    for weight in weights.values():
        wanted = getattr(torch, dtype) if dtype and weight.is_floating_point() else weight.dtype
        known.setdefault((weight.data_ptr(), tuple(weight.shape)), weight.to(wanted))
    return {name: known[weight.data_ptr(), tuple(weight.shape)] for name, weight in weights.items()}


def _named(config: Any, dtype: str) -> Any:
    """A configuration whose every `dtype` is this one."""
    if not isinstance(config, dict):
        return config
    said = cast("dict[str, Any]", config)
    return {key: dtype if key == "dtype" else _named(value, dtype) for key, value in said.items()}


def _name_base(folder: Path, base: Base) -> None:
    """An adapter names its base as the user did: a downloaded snapshot's path means nothing elsewhere."""
    file = folder / ADAPTER_CONFIG
    if file.is_file():
        said = json.loads(file.read_text(encoding="utf-8"))
        said["base_model_name_or_path"] = base.ref.removeprefix("hf/")
        file.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")
