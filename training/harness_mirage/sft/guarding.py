"""TRL's trainer with four things more: a loss that is no number stops it, a checkpoint is whole or gone, going on from
one reads every weight of it, and going on from the last one does no step more.

The third is no matter of course: a model is saved under the names that its family had on the hub first, and the trainer
of transformers looks for today's names, finds none, and goes on with the weights of the base without a word (its issue
43701).
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the base class is TRL's, whose types are mostly unknown)

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import HarnessError
from harness.local import CONFIG
from harness.unfinished import mark
from harness_mirage.models.untyped import Untyped, transformers, trl
from harness_mirage.records import Record

from .collating import RECORDS
from .scratch import WHOLE, Scratch, no_room


class GuardedTrainer(trl.SFTTrainer):  # type: ignore[misc, name-defined, unused-ignore]
    """Trains as SFTTrainer does.

    Args:
        records: of the mixture, for errors.
        scratch: where checkpoints go.
        own_loss: the model computes it, since TRL's way into it is not there.
        more: of SFTTrainer.
    """

    def __init__(self, *, records: Sequence[Record], scratch: Scratch, own_loss: bool = False, **more: Any) -> None:
        self._records = records
        self._scratch = scratch
        self._own_loss = own_loss
        self._step: list[int] = []  # numbers of the records of the step under way
        super().__init__(**more)

    def training_step(self, model: Untyped, inputs: dict[str, Untyped], *rest: Any, **more: Any) -> Untyped:
        """One batch forth and back.

        Raises:
            HarnessError: its loss is no number.
        """
        self._step += inputs.pop(RECORDS).tolist()
        loss = super().training_step(model, inputs, *rest, **more)
        if not math.isfinite(float(loss)):
            raise self._broken("loss", float(loss))
        return loss

    def _run_epoch(self, *rest: Any, **more: Any) -> None:
        if self.state.global_step >= self.state.max_steps:  # the trainer of transformers looks only after a step
            self.control.should_training_stop = True
            return
        super()._run_epoch(*rest, **more)

    def compute_loss(self, model: Untyped, inputs: dict[str, Untyped], *rest: Any, **more: Any) -> Untyped:
        """The loss over the answers of a batch."""
        if not self._own_loss:
            return super().compute_loss(model, inputs, *rest, **more)
        return transformers.Trainer.compute_loss(self, model, inputs, *rest, **more)

    def log(self, logs: dict[str, float], *rest: Any, **more: Any) -> None:
        """Tell the losses of a step; raises HarnessError where its gradient is no number."""
        if not math.isfinite(float(logs.get("grad_norm", 0.0))):
            raise self._broken("gradient", float(logs["grad_norm"]))
        self._step = []
        super().log(logs, *rest, **more)

    def _broken(self, what: str, value: float) -> HarnessError:
        places = [self._records[number].place for number in dict.fromkeys(self._step)]
        listed = ", ".join(places[:8]) + (f" and {len(places) - 8} more" if len(places) > 8 else "")
        return HarnessError(
            f"the {what} of step {self.state.global_step + (what == 'loss')} is {value}, so nothing more can be learnt",
            where=listed,
            remedy="look at these records; a smaller learning_rate or precision: fp32 in the recipe may help",
        )

    def _save_checkpoint(self, model: Untyped, trial: Untyped) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        try:
            if self.args.should_save:
                mark(folder)
            transformers.Trainer._save_checkpoint(self, model, trial)  # noqa: SLF001 - without TRL's model card
            if self.args.should_save:
                (folder / WHOLE).touch()
        except Exception as error:  # torch, safetensors and the file system each say it in their own way
            shutil.rmtree(folder, ignore_errors=True)
            raise no_room(error, self._scratch, f"the checkpoint of step {self.state.global_step}") from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Untyped = None) -> None:
        whole = (Path(resume_from_checkpoint) / CONFIG).is_file() and not hasattr(self.model, "peft_config")
        if self.is_fsdp_enabled or not whole:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        target = self.model if model is None else model
        saved = type(target).from_pretrained(resume_from_checkpoint, dtype=target.dtype)
        target.load_state_dict(saved.state_dict())
