"""Fits a base to a mixture by TRL: what is wrong with a record is found before the first step, and a kill costs no more
than the steps since the last checkpoint.

TRL's trainer gets four things more: a loss that is no number stops it, a checkpoint is whole or gone, going on from one
reads every weight of it, and going on from the last one does no step more. The third is no matter of course: a model is
saved under the names that its family had on the hub first, and the trainer of transformers looks for today's names,
finds none, and goes on with the weights of the base without a word (its issue 43701).
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (the base classes are TRL's and transformers', whose types are mostly unknown)

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import shutil
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from harness import HarnessError, Training
from harness.board.display import format_duration
from harness.extras import Untyped
from harness.fingerprint import hash_folder, mark_unfinished
from harness.local import ADAPTER_CONFIG, CONFIG
from harness_mirage.methods import Method, Role, get_setting
from harness_mirage.mixture import Mixture, Record
from harness_mirage.models.base import Base
from harness_mirage.models.roles import count_numbers, count_parameters, format_roles, freeze
from harness_mirage.models.untyped import datasets, quiet, torch, transformers, trl
from harness_mirage.recipe import Recipe

from .batches import NAMED, RECORDS, ChatEncoder, Collator, LongRecord, TokenCounter, encode_all, split_by_length
from .save import WHOLE, History, Scratch, disk_error, get_step, save_model

_SMALL: Final = 50_000_000  #: parameters below which one thread computes faster than several on busy cores
_EVERY: Final = 5.0  #: seconds between two lines of a log
#: what accelerate sets for a model that is spread over devices
_SPREAD: Final = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A trained model in its scratch folder.

    Attributes:
        folder: weights and processor, nothing else; to be completed and moved to the output in one rename.
        scratch: the working folder around it, to be removed then.
        kind: a whole model, or an adapter of its base.
        history: a row a step: step, epoch, loss, grad_norm, learning_rate, mean_token_accuracy.
        steps: of the optimizer.
        seconds: that this invocation trained, without opening and saving.
        resumed_from: step of the checkpoint it went on from; 0 if it began anew.
        records: number of records that were learnt from.
        left_out: records that were too long.
        counts: role -> parameters, and how many of them learnt.
    """

    folder: Path
    scratch: Scratch
    kind: Literal["model", "adapter"]
    history: tuple[Mapping[str, float], ...]
    steps: int
    seconds: float
    resumed_from: int
    records: int
    left_out: tuple[LongRecord, ...]
    counts: Mapping[Role, tuple[int, int]]


def fit(base: Base, mixture: Mixture, recipe: Recipe, training: Training, method: Method) -> Fitted:
    """Train, from the last whole checkpoint of the same training if there is one.

    Raises:
        BadData: records that cannot be written for this model; their places are named.
        IdentityMismatch: the working folder holds checkpoints of another training.
        HarnessError: a loss that is no number, a full disk, or a recipe that this machine cannot follow.
    """
    scratch = Scratch.of(training.out)
    config = build_arguments(training, recipe, scratch)
    chats = encode_all(ChatEncoder(base.frontend, base.chat, base.mark), mixture.records)
    counter = TokenCounter(base.frontend, base.mark, recipe.pixels.value)
    kept, left_out = split_by_length(counter, mixture.records, chats, recipe.max_length.value)
    with config.main_process_first():
        if config.should_save:
            identity = identify_checkpoints(base, mixture, recipe, training, method)
            scratch.begin(identity, resume=training.resume)
    adapters = freeze(base, method.trained, recipe)
    with _choose_threads(base, training), quiet():
        trainer: Untyped = GuardedTrainer(
            records=mixture.records,
            scratch=scratch,
            own_loss=base.dialect is not None,
            model=base.model,
            args=config,
            data_collator=Collator(
                frontend=base.frontend,
                records=mixture.records,
                chats=chats,
                pixels=recipe.pixels.value,
                mark=base.mark if config.world_size > 1 else "",
            ),
            train_dataset=datasets.Dataset.from_dict({"record": kept}),
            processing_class=base.frontend.processor,
            peft_config=adapters,
        )
        counts = count_parameters(trainer.model, base.roles)
        history, last = History(scratch.history), scratch.find_last()
        if trainer.is_world_process_zero():
            lines = format_roles(trainer.model, base.roles, title=f"{method.name} on {base.ref}")
            for long in left_out[:NAMED]:
                lines += f"left out, {long.tokens} tokens are too many: {long.place}\n"
            if len(left_out) > NAMED:
                lines += f"left out for their length: {len(left_out)} records in all\n"
            if last is not None:
                lines += f"goes on from step {get_step(last)}\n"
            sys.stderr.write(lines)
            sys.stderr.flush()
        seconds = _train(trainer, history, last)
        try:
            save_model(trainer, base, scratch.model, merge=get_setting(training, "merge"))
        except OSError as error:
            raise disk_error(error, scratch, "the trained model") from error
    return Fitted(
        folder=scratch.model,
        scratch=scratch,
        kind="adapter" if (scratch.model / ADAPTER_CONFIG).is_file() else "model",
        history=history.read(),
        steps=trainer.state.global_step,
        seconds=seconds,
        resumed_from=0 if last is None else get_step(last),
        records=len(kept),
        left_out=left_out,
        counts=counts,
    )


def _train(trainer: Untyped, history: History, last: Path | None) -> float:
    """Train -> seconds."""
    args = trainer.args
    display = LossDisplay(sys.stderr, args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
    trainer.remove_callback(transformers.PrinterCallback)  # it prints to stdout, which carries results
    if trainer.is_world_process_zero():
        trainer.add_callback(StepCallback(history, display))
    started = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    finally:
        display.end()
    if not trainer.state.global_step:
        raise HarnessError("no step was done, so nothing was learnt", remedy="train for more epochs")
    return time.monotonic() - started


def identify_checkpoints(
    base: Base, mixture: Mixture, recipe: Recipe, training: Training, method: Method
) -> dict[str, object]:
    """What must be the same for a training to go on from a checkpoint."""
    return {
        "model": base.ref,
        "architecture": base.architecture,
        "base (its files)": hash_folder(base.folder),
        "mixture": mixture.digest,
        "recipe": asdict(recipe),
        "trained": list(method.trained),
        "seed": training.seed,
    }


@contextlib.contextmanager
def _choose_threads(base: Base, training: Training) -> Generator[None]:
    before = torch.get_num_threads()
    small = sum(count_numbers(weight) for weight in base.model.parameters()) < _SMALL
    torch.set_num_threads(get_setting(training, "threads") or (1 if small else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def build_arguments(training: Training, recipe: Recipe, scratch: Scratch) -> Untyped:
    """The arguments of TRL's trainer.

    Raises:
        HarnessError: the recipe's batch cannot be dealt out to the devices, a logger is not installed, or an adapter
            is to be merged into a model that is spread over devices.
    """
    check_merge(training, spread=any(os.environ.get(name) == "true" for name in _SPREAD))
    check_log(training)
    log = get_setting(training, "log")
    if log != "none":
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(scratch.logs)  # the only way transformers takes it
    cpu = get_setting(training, "device") == "cpu" or not torch.cuda.is_available()
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    held, turns = divide_batch(recipe.batch.value, devices, get_setting(training, "micro_batch"), cpu=cpu)
    known = {field.name for field in fields(trl.SFTConfig)}  # recomputing has two names in versions of transformers
    recompute = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
    # Batches are made by our own collator: nothing is packed, cut or taken out of the rows.
    return trl.SFTConfig(
        output_dir=str(scratch.checkpoints),
        per_device_train_batch_size=held,
        gradient_accumulation_steps=turns,
        use_cpu=cpu,
        bf16=recipe.precision.value == "bf16",
        dataloader_num_workers=get_setting(training, "workers"),
        dataloader_pin_memory=not cpu,
        save_steps=get_setting(training, "save_every"),
        report_to=[] if log == "none" else [log],
        run_name=training.out.name,
        seed=training.seed,
        data_seed=training.seed,
        num_train_epochs=recipe.epochs.value,
        learning_rate=recipe.learning_rate.value,
        lr_scheduler_type=recipe.schedule.value,
        warmup_steps=recipe.warmup.value,  # below one: a share of the steps
        weight_decay=recipe.weight_decay.value,
        max_grad_norm=recipe.clip.value,
        optim=recipe.optimizer.value,
        max_length=None,
        packing=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_total_limit=2,  # the one before stays until the next is whole
        eval_strategy="no",
        disable_tqdm=True,
        **{recompute: recipe.checkpointing.value},
    )


def divide_batch(batch: int, devices: int, micro: int | None, *, cpu: bool) -> tuple[int, int]:
    """Records that a device holds at once, and how many such turns make a step.

    Raises:
        HarnessError: they cannot make the recipe's batch.
    """
    share, rest = divmod(batch, devices)
    if rest or not share:
        raise HarnessError(
            f"a batch of {batch} records cannot be divided among {devices} devices",
            remedy=f"use a batch that {devices} divides, in a recipe of your own, or another number of devices",
        )
    held = min(micro or (share if cpu else 1), share)
    if share % held:
        raise HarnessError(
            f"{share} records on each device cannot be divided into steps of {held}",
            remedy=f"-S micro_batch= one of {', '.join(str(n) for n in range(1, share + 1) if share % n == 0)}",
        )
    return held, share // held


def check_merge(training: Training, *, spread: bool) -> None:
    """Raise HarnessError if an adapter is to be merged into a model that is spread over devices."""
    if get_setting(training, "merge") and spread:
        raise HarnessError(
            "-S merge=true needs the whole model on one device, and it is spread over several",
            remedy="leave it out, and merge the adapter afterwards",
        )


def check_log(training: Training) -> None:
    """Raise HarnessError if the package of the logger (its name is the setting's) is not installed."""
    log = get_setting(training, "log")
    if log != "none" and importlib.util.find_spec(log) is None:
        raise HarnessError(f"-S log={log} needs a package", remedy=f"pip install {log}, or leave it out")


class LossDisplay:
    """Shows how far a training is: a bar on a terminal, else a line every few seconds.

    A line is `step 120/415 (28%) · loss 0.812 · 3.4 records/s · ETA 12:10`.

    Args:
        stream: to write to.
        batch: records a step.
    """

    def __init__(self, stream: TextIO, batch: int) -> None:
        self._stream = stream
        self._batch = batch
        self._first = self._total = 0
        self._started = time.monotonic()
        self._next, self._line = self._started + _EVERY, ""
        self._bar: Progress | None = None
        if stream.isatty() and os.environ.get("TERM") != "dumb":
            columns = BarColumn(), TextColumn("{task.description}", markup=False)
            self._bar = Progress(*columns, console=Console(file=stream, highlight=False))
            self._task = self._bar.add_task("starting")

    def begin(self, done: int, total: int) -> None:
        """Start; steps that an earlier invocation has done do not count as speed."""
        self._first, self._total, self._started = done, total, time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
            self._bar.start()

    def step(self, done: int, loss: float) -> None:
        """Show a step that has ended; a log gets a line only if it is time for one."""
        now = time.monotonic()
        rate = (done - self._first) / max(now - self._started, 1e-6)
        ends = f" · ETA {format_duration((self._total - done) / rate)}" if rate and done < self._total else ""
        percent = int(100 * done / max(self._total, 1))
        speed = f"{rate * self._batch:.1f} records/s"
        self._line = f"step {done}/{self._total} ({percent}%) · loss {loss:.3f} · {speed}{ends}"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=self._line)
        elif now >= self._next:
            self._next = now + _EVERY
            self._write_line()

    def end(self) -> None:
        """Show the last state and stop."""
        if self._bar is not None:
            self._bar.stop()
        else:
            self._write_line()

    def _write_line(self) -> None:
        if self._line:
            with contextlib.suppress(OSError, ValueError):  # a closed log must not end a training
                self._stream.write(f"{self._line}\n")
                self._stream.flush()
        self._line = ""


class StepCallback(transformers.TrainerCallback):  # type: ignore[misc, name-defined, unused-ignore]
    """Passes on what TRL's trainer logs: to the display, and into the history."""

    def __init__(self, history: History, display: LossDisplay) -> None:
        self._history = history
        self._display = display

    def on_train_begin(self, args: Untyped, state: Untyped, control: Untyped, **more: Any) -> None:  # noqa: ARG002
        """The state is the checkpoint's if the training goes on from one."""
        self._history.begin(state.log_history)
        self._display.begin(state.global_step, state.max_steps)

    def on_log(
        self,
        args: Untyped,  # noqa: ARG002
        state: Untyped,
        control: Untyped,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **more: Any,  # noqa: ARG002
    ) -> None:
        """A step, or the summary at the end."""
        if logs and "loss" in logs:
            self._history.add({**logs, "step": state.global_step})
            self._display.step(state.global_step, logs["loss"])


class GuardedTrainer(trl.SFTTrainer):  # type: ignore[misc, name-defined, unused-ignore]
    """SFTTrainer with the four guards that the module describes.

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
        """One batch forward and backward. Raises HarnessError if its loss is no number."""
        self._step += inputs.pop(RECORDS).tolist()
        loss = super().training_step(model, inputs, *rest, **more)
        if not math.isfinite(float(loss)):
            raise self._not_finite_error("loss", float(loss))
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
        """Log the losses of a step. Raises HarnessError if its gradient is no number."""
        if not math.isfinite(float(logs.get("grad_norm", 0.0))):
            raise self._not_finite_error("gradient", float(logs["grad_norm"]))
        self._step = []
        super().log(logs, *rest, **more)

    def _not_finite_error(self, what: str, value: float) -> HarnessError:
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
                mark_unfinished(folder)
            transformers.Trainer._save_checkpoint(self, model, trial)  # noqa: SLF001 - without TRL's model card
            if self.args.should_save:
                (folder / WHOLE).touch()
        except Exception as error:  # torch, safetensors and the file system each say it in their own way
            shutil.rmtree(folder, ignore_errors=True)
            raise disk_error(error, self._scratch, f"the checkpoint of step {self.state.global_step}") from error

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Untyped = None) -> None:
        whole = (Path(resume_from_checkpoint) / CONFIG).is_file() and not hasattr(self.model, "peft_config")
        if self.is_fsdp_enabled or not whole:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        target = self.model if model is None else model
        saved = type(target).from_pretrained(resume_from_checkpoint, dtype=target.dtype)
        target.load_state_dict(saved.state_dict())
