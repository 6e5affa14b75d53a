"""Writes what was trained as a folder that `hf/` and `vllm/` load: an adapter or a whole model, and the processor.

Each tensor goes back under the name and into the number format that the base's files have it in; some hold several
formats. What was frozen comes out bit by bit as it went in: to float32 and back loses nothing, and where a tensor was
held in a narrower format than its own, as the base of an adapter is, it is taken from the base's files.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final, cast

from harness.local import ADAPTER_CONFIG, CONFIG
from harness_mirage.models.base import Base
from harness_mirage.models.untyped import Untyped, torch
from harness_mirage.models.weights import Stored, stored

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
    held = _as_stored(_renamed(model, weights or model.state_dict()), base)
    model.save_pretrained(folder, state_dict=held, save_original_format=False)  # they have those names already
    if base.dtype:
        file = folder / CONFIG
        said = _named(json.loads(file.read_text(encoding="utf-8")), base.dtype)
        file.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _renamed(model: Untyped, weights: dict[str, Untyped]) -> dict[str, Untyped]:
    """The weights under the names that the base's files have; of those that are tied one, however often it is there."""
    from transformers.core_model_loading import revert_weight_conversion

    twins = getattr(model, "all_tied_weights_keys", {})
    once = {name: weight for name, weight in weights.items() if twins.get(name) not in weights}
    return cast("dict[str, Untyped]", revert_weight_conversion(model, once))


def _as_stored(weights: dict[str, Untyped], base: Base) -> dict[str, Untyped]:
    """The weights in the number formats of the base's files; a tensor of two names stays one, or it is saved twice."""
    first = stored(base.folder)
    known: dict[tuple[int, tuple[int, ...], str], Untyped] = {}

    def as_it_was(name: str, weight: Untyped) -> Untyped:
        its = first.get(name)
        wanted = (its.format if its else "") or base.dtype
        if not wanted or not weight.is_floating_point():
            return weight
        key = (weight.data_ptr(), tuple(weight.shape), wanted)
        if key not in known:
            kind = getattr(torch, wanted)
            known[key] = weight.to(kind) if its is None else _unmoved(weight, name, its, kind)
        return known[key]

    return {name: as_it_was(name, weight) for name, weight in weights.items()}


def _unmoved(weight: Untyped, name: str, its: Stored, kind: Untyped) -> Untyped:
    """A weight in the format of its stored tensor; that tensor itself where it holds more and did not learn."""
    if torch.finfo(kind).bits > torch.finfo(weight.dtype).bits:
        before = its.tensor(name)
        if before is not None and torch.equal(before.to(weight.dtype), weight.cpu()):
            return before
    return weight.to(kind)


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
