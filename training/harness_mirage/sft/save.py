"""What a training writes: its scratch folder with checkpoints and losses, and the trained model.

`OUT.partial/` is never taken for a model: a mark in it and in each checkpoint says so (`harness.fingerprint`), and the
model lies one folder deeper until the training has ended well and it is moved to OUT in one rename. A checkpoint counts
only once another mark was written into it after all its files, so one that a kill or a full disk cut short is thrown
away.

The model is a folder that `hf/` and `vllm/` load: an adapter or a whole model, and the processor. Each tensor goes back
under the name and into the number format that the base's files have it in; some hold several formats. What was frozen
comes out bit by bit as it went in: to float32 and back loses nothing, and a tensor that was held in a narrower format
than its own, as the base of an adapter is, is taken from the base's files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness import HarnessError
from harness.errors import IdentityMismatch
from harness.extras import Untyped
from harness.fingerprint import mark_unfinished as mark
from harness.local import ADAPTER_CONFIG, CONFIG
from harness_mirage.models.base import Base
from harness_mirage.models.untyped import torch
from harness_mirage.models.weights import list_tensors

WHOLE: Final = "whole"  #: the mark in a checkpoint
_LOGGED: Final = ("step", "epoch", "loss", "grad_norm", "learning_rate", "mean_token_accuracy")
_MODE: Final = 0o644  #: safetensors writes 600, which no other user could read


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """The working folder of one training, `OUT.partial`."""

    folder: Path

    @staticmethod
    def of(out: Path) -> Scratch:
        """The scratch folder of the training whose model becomes `out`."""
        return Scratch(folder=out.with_name(out.name + ".partial"))

    @property
    def checkpoints(self) -> Path:
        """One folder for each."""
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        """What becomes the output: nothing else lies in it."""
        return self.folder / "model"

    @property
    def history(self) -> Path:
        """The losses, a line a step."""
        return self.folder / "history.jsonl"

    @property
    def identity(self) -> Path:
        """What identifies the training whose checkpoints lie here."""
        return self.folder / "identity.json"

    @property
    def logs(self) -> Path:
        """What TensorBoard reads."""
        return self.folder / "tensorboard"

    def begin(self, identity: Mapping[str, Any], *, resume: bool) -> None:
        """Make the folder ready: empty, or with the whole checkpoints of the same training.

        Raises:
            IdentityMismatch: it holds checkpoints of another training.
            HarnessError: nothing can be written there.
        """
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.check(identity)
        try:
            mark(self.folder)
            shutil.rmtree(self.model, ignore_errors=True)
            for left in self.checkpoints.glob("checkpoint-*"):
                if not (left / WHOLE).is_file():
                    shutil.rmtree(left)
            self.checkpoints.mkdir(exist_ok=True)
            self.identity.write_text(_identity_to_json(identity), encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"the training cannot write there: {error.strerror}", where=str(self.folder)) from None

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raise IdentityMismatch if the folder is another training's; the message names the fields that differ."""
        if not self.identity.is_file():
            return
        wanted: dict[str, Any] = json.loads(_identity_to_json(identity))
        try:
            found = cast("dict[str, Any]", json.loads(self.identity.read_text(encoding="utf-8")))
            differ = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        except ValueError:
            differ = sorted(wanted)
        if differ:
            raise IdentityMismatch(
                f"this folder holds checkpoints of a training with another {', '.join(differ)}",
                where=str(self.folder),
                remedy="ask for the same training again, train with --fresh, or name another --out",
            )

    def find_last(self) -> Path | None:
        """The last whole checkpoint; None if there is none."""
        whole = [mark.parent for mark in self.checkpoints.glob(f"checkpoint-*/{WHOLE}")]
        return max(whole, key=get_step, default=None)


def _identity_to_json(identity: Mapping[str, Any]) -> str:
    return json.dumps(dict(identity), indent=1, sort_keys=True, default=str)


def get_step(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def disk_error(error: Exception, scratch: Scratch, what: str) -> HarnessError:
    """The error for something that cannot be written, with the checkpoint from which the training goes on."""
    last = scratch.find_last()
    kept = f"the last whole checkpoint is that of step {get_step(last)}" if last else "there is no whole checkpoint yet"
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return HarnessError(
        f"{what} cannot be written: {line}; {kept}",
        where=str(scratch.folder),
        remedy="free some space and give the same command again: it continues from there",
    )


class History:
    """The losses in a file, a line a step; those after the checkpoint that a training goes on from are dropped."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def begin(self, known: list[dict[str, Any]]) -> None:
        """Write what the checkpoint knows anew."""
        self._file.write_text("".join(_history_line(row) for row in known if "loss" in row), encoding="utf-8")

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one step."""
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(_history_line(row))

    def read(self) -> tuple[dict[str, float], ...]:
        """All steps, in order."""
        return tuple(json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines())


def _history_line(row: Mapping[str, Any]) -> str:
    return json.dumps({key: row[key] for key in _LOGGED if key in row}) + "\n"


def save_model(trainer: Untyped, base: Base, folder: Path, *, merge: bool) -> None:
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
        config = folder / ADAPTER_CONFIG
        if config.is_file():  # it names its base as the user did: a downloaded snapshot's path means nothing elsewhere
            _write_config(config, {**_read_config(config), "base_model_name_or_path": base.ref.removeprefix("hf/")})
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
    trainer.accelerator.wait_for_everyone()  # no process goes on before the folder is whole


def _save_whole(model: Untyped, weights: dict[str, Untyped] | None, base: Base, folder: Path) -> None:
    from transformers.core_model_loading import revert_weight_conversion

    shutil.rmtree(folder, ignore_errors=True)
    held: dict[str, Untyped] = weights or model.state_dict()
    twins = getattr(model, "all_tied_weights_keys", {})
    once = {name: weight for name, weight in held.items() if twins.get(name) not in held}
    renamed = cast("dict[str, Untyped]", revert_weight_conversion(model, once))  # to the names of the base's files
    # Each weight in the number format of the base's files; a tensor of two names stays one, or it is saved twice.
    stored = list_tensors(base.folder)
    known: dict[tuple[int, tuple[int, ...], str], Untyped] = {}
    converted: dict[str, Untyped] = {}
    for name, weight in renamed.items():
        its = stored.get(name)
        wanted = (its.format if its else "") or base.dtype
        if not wanted or not weight.is_floating_point():
            converted[name] = weight
            continue
        key = (weight.data_ptr(), tuple(weight.shape), wanted)
        if key not in known:
            dtype, before = getattr(torch, wanted), None
            if its is not None and torch.finfo(dtype).bits > torch.finfo(weight.dtype).bits:
                before = its.load(name)  # holds more than the weight, and is right unless the weight has learnt
            same = before is not None and torch.equal(before.to(weight.dtype), weight.cpu())
            known[key] = before if same else weight.to(dtype)
        converted[name] = known[key]
    model.save_pretrained(folder, state_dict=converted, save_original_format=False)  # they have those names already
    if base.dtype:
        _write_config(folder / CONFIG, _replace_dtype(_read_config(folder / CONFIG), base.dtype))


def _replace_dtype(config: Any, dtype: str) -> Any:
    """A configuration whose every `dtype` is this one."""
    if not isinstance(config, dict):
        return config
    said = cast("dict[str, Any]", config)
    return {key: dtype if key == "dtype" else _replace_dtype(value, dtype) for key, value in said.items()}


def _read_config(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write_config(file: Path, config: Any) -> None:
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
