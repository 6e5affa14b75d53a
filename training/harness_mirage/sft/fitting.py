"""Fits a base to a mixture: what is wrong with a record is found before the first step, and a kill costs no more than
the steps since the last checkpoint.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from harness import BadData, HarnessError, Training
from harness.fingerprint import of_folder
from harness_mirage.methods import Method
from harness_mirage.mixture import Mixture
from harness_mirage.models.base import Base
from harness_mirage.models.freezing import freeze
from harness_mirage.models.quiet import quiet
from harness_mirage.models.roles import size
from harness_mirage.models.table import counted, table, text
from harness_mirage.models.untyped import Untyped, datasets, torch, transformers
from harness_mirage.recipe import Recipe
from harness_mirage.records import Record
from harness_mirage.settings import asked

from .arguments import arguments
from .collating import Collator
from .fitted import Fitted
from .guarding import GuardedTrainer
from .measuring import Long, Ruler, sorted_out
from .saving import save
from .scratch import Scratch, no_room, step_of
from .scripts import Scribe, Script
from .showing import History, choose
from .telling import Teller

_SMALL: Final = 50_000_000  #: parameters below which one thread computes faster than several on busy cores
_NAMED: Final = 10  #: bad records that an error lists
Tell = Callable[[str], None]


def fit(base: Base, mixture: Mixture, recipe: Recipe, training: Training, method: Method) -> Fitted:
    """Train, from the last whole checkpoint of the same training where there is one.

    Raises:
        BadData: records that cannot be written for this model; their places are named.
        IdentityMismatch: the working folder holds checkpoints of another training.
        HarnessError: a loss that is no number, a full disk, or a recipe that this machine cannot follow.
    """
    scratch = Scratch.beside(training.out)
    config = arguments(training, recipe, scratch)
    scripts = written(Scribe(base.frontend, base.chat, base.mark), mixture.records)
    ruler = Ruler(base.frontend, base.mark, recipe.pixels.value)
    kept, left_out = sorted_out(ruler, mixture.records, scripts, recipe.max_length.value)
    with config.main_process_first():
        if config.should_save:
            scratch.begin(identity(base, mixture, recipe, training, method), resume=training.resume)
    adapters = freeze(base, method.trained, recipe)
    with _threads(base, training), quiet():
        trainer = GuardedTrainer(
            records=mixture.records,
            scratch=scratch,
            own_loss=base.dialect is not None,
            model=base.model,
            args=config,
            data_collator=Collator(
                frontend=base.frontend,
                records=mixture.records,
                scripts=scripts,
                pixels=recipe.pixels.value,
                mark=base.mark if config.world_size > 1 else "",
            ),
            train_dataset=datasets.Dataset.from_dict({"record": kept}),
            processing_class=base.frontend.processor,
            peft_config=adapters,
        )
        return _trained(trainer, base, method, training, scratch, kept, left_out)


def _trained(
    trainer: Untyped,
    base: Base,
    method: Method,
    training: Training,
    scratch: Scratch,
    kept: Sequence[int],
    left_out: tuple[Long, ...],
) -> Fitted:
    counts = counted(trainer.model, base.roles)
    history = History(scratch.history)
    if trainer.is_world_process_zero():
        _say(text(table(trainer.model, base.roles, title=f"{method.name} on {base.ref}")))
        _say("".join(f"left out, {long.tokens} tokens are too many: {long.place}\n" for long in left_out[:_NAMED]))
        if len(left_out) > _NAMED:
            _say(f"left out for their length: {len(left_out)} records in all\n")
    last = scratch.last()
    if last is not None and trainer.is_world_process_zero():
        _say(f"goes on from step {step_of(last)}\n")
    seconds = _train(trainer, history, last)
    try:
        save(trainer, base, scratch.model, merge=asked(training, "merge"))
    except OSError as error:
        raise no_room(error, scratch, "the trained model") from error
    return Fitted(
        folder=scratch.model,
        scratch=scratch,
        kind="adapter" if (scratch.model / "adapter_config.json").is_file() else "model",
        history=history.read(),
        steps=trainer.state.global_step,
        seconds=seconds,
        resumed_from=0 if last is None else step_of(last),
        records=len(kept),
        left_out=left_out,
        counts=counts,
    )


def _train(trainer: Untyped, history: History, last: Path | None) -> float:
    """Train -> seconds."""
    args = trainer.args
    display = choose(sys.stderr, args.train_batch_size * args.gradient_accumulation_steps * args.world_size)
    trainer.remove_callback(transformers.PrinterCallback)  # it prints to stdout, which carries results
    if trainer.is_world_process_zero():
        trainer.add_callback(Teller(history, display))
    started = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    finally:
        display.end()
    if not trainer.state.global_step:
        raise HarnessError("no step was done, so nothing was learnt", remedy="train for more epochs")
    return time.monotonic() - started


def written(scribe: Scribe, records: Sequence[Record]) -> tuple[Script, ...]:
    """The scripts of all records.

    Raises:
        BadData: some cannot be written; the first of them are named.
    """
    scripts: list[Script] = []
    bad: list[BadData] = []
    for record in records:
        try:
            scripts.append(scribe(record))
        except BadData as error:
            bad.append(error)
    if not bad:
        return tuple(scripts)
    if len(bad) == 1:
        raise bad[0]
    lines = "".join(f"\n    {error.where}: {error.what}" for error in bad[:_NAMED])
    raise BadData(f"{len(bad)} records cannot be written for this model; the first:{lines}", remedy=bad[0].remedy)


def identity(base: Base, mixture: Mixture, recipe: Recipe, training: Training, method: Method) -> dict[str, object]:
    """What must be the same for a checkpoint to be gone on from."""
    return {
        "model": base.ref,
        "architecture": base.architecture,
        "base (its files)": of_folder(base.folder),
        "mixture": mixture.digest,
        "recipe": asdict(recipe),
        "trained": list(method.trained),
        "seed": training.seed,
    }


@contextlib.contextmanager
def _threads(base: Base, training: Training) -> Generator[None]:
    before = torch.get_num_threads()
    small = sum(size(weight) for weight in base.model.parameters()) < _SMALL
    torch.set_num_threads(asked(training, "threads") or (1 if small else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _say(lines: str) -> None:
    sys.stderr.write(lines)
    sys.stderr.flush()
