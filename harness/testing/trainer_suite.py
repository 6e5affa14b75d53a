"""The suite for trainers: what `harness train` relies on, so that one which passes works."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from harness.contracts import Trainer, Training
from harness.errors import HarnessError
from harness.settings import effective

from .problems import Problems
from .task_suite import check_described

RECORD = "training.json"  #: what says of a trained model what it was made from
KEYS = ("tuned_from", "trained_on")  #: of it, that every report reads


def check_trainer(
    trainer: Trainer, training: Training | None = None, *, settings: Mapping[str, Any] | None = None, train: bool = True
) -> None:
    """Whether a trainer keeps its contract; with a training it is asked what it would do, and then to do it.

    Args:
        trainer: the descriptor.
        training: one that it can carry out here and now; None checks what it does without.
        settings: of the trainer, by name; those of the training are given with it.
        train: whether to train; False asks for the plan alone.
    """
    problems = Problems(f"trainer {trainer.name!r}")
    check_described(problems, "none needed", trainer.description, trainer.settings)
    values = effective(trainer.settings, settings or {}, owner=f"trainer {trainer.name}")
    with TemporaryDirectory(prefix="harness-trainer-") as scratch:
        gone = {"": Path(scratch, "no-data")}
        nothing = Training(model=str(Path(scratch, "no-model")), data=gone, out=Path(scratch, "out"), settings=values)
        _check_refusals(problems, trainer, nothing)
        if training is not None:
            with problems.at(f"training {training.model}"):
                _check_plan(problems, trainer, training)
                if train:
                    _check_trained(problems, trainer, training)
    problems.settle()


def _check_refusals(problems: Problems, trainer: Trainer, training: Training) -> None:
    """A model and data that are not there are the user's to mend, and nothing is written for them."""
    for name, call in (("plan", trainer.plan), ("train", trainer.train)):
        with problems.at(f"{name} without a model and data"):
            try:
                call(training)
            except HarnessError:
                pass
            else:
                # A plan may say in words what is missing; a training has to end.
                problems.require(name == "plan", "raises no HarnessError")
            problems.require(not training.out.exists(), "writes its folder before it has found its model and data")


def _check_plan(problems: Problems, trainer: Trainer, training: Training) -> None:
    plan: object = trainer.plan(training)
    problems.require_type(plan, str, "plan gives a")
    problems.require(str(plan).strip(), "plan says nothing")
    problems.require(not training.out.exists(), "plan writes")
    if trainer.facts is not None:
        facts = trainer.facts(training)
        json.dumps(facts, allow_nan=False)
        refusals: object = facts.get("refusals")
        problems.require_type(refusals, list, "the refusals of facts are a")


def _check_trained(problems: Problems, trainer: Trainer, training: Training) -> None:
    """The folder is there at the end, and says what it was made from."""
    folder = cast("object", trainer.train(training))
    problems.require_type(folder, Path, "train gives a")
    if not isinstance(folder, Path):
        return
    problems.require(folder.is_dir(), f"{folder.name} is not a folder")
    record = folder / RECORD
    problems.require(record.is_file(), f"{folder.name} has no {RECORD}")
    if record.is_file():
        told = json.loads(record.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in told]
        problems.require(not missing, f"{RECORD} does not say {', '.join(missing)}")
