"""The checks of builders and trainers: what `harness build` and `harness train` rely on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anyio

from harness.contracts import Build, Builder, Built, Trainer, Training
from harness.errors import HarnessError
from harness.settings import effective

from .problems import Problems, check_described

RECORD = "training.json"  #: says what a trained model was made from
KEYS = ("tuned_from", "trained_on")  #: of it, which every report reads


def check_builder(builder: Builder, config: Path | None = None, *, settings: Mapping[str, Any] | None = None) -> None:
    """Whether a builder keeps its contract; with a config it is asked what it would do, and then to do it, twice.

    Args:
        builder: the descriptor.
        config: one that it can build from here and now, at once; None checks what it does without.
        settings: of the builder, by name.
    """
    problems = Problems(f"builder {builder.name!r}")
    check_described(problems, "none needed", builder.description, builder.settings)
    values = effective(builder.settings, settings or {}, owner=f"builder {builder.name}")
    with TemporaryDirectory(prefix="harness-builder-") as scratch:
        _check_missing(
            problems, builder, Build(config=Path(scratch, "none.yaml"), out=Path(scratch, "a"), settings=values)
        )
        if config is not None:
            with problems.at(f"config {config.name}"):
                _check_built(problems, builder, Build(config=config, out=Path(scratch, "b"), settings=values))
    problems.settle()


def _check_missing(problems: Problems, builder: Builder, build: Build) -> None:
    """Require a HarnessError for a missing config, and that nothing is written for it."""
    with problems.at("plan without a config"), _require_harness_error(problems):
        builder.plan(build)
    with problems.at("build without a config"), _require_harness_error(problems):
        anyio.run(_build, problems, builder, build)
    problems.require(not build.out.exists(), "writes its folder before it has read its config")


@contextmanager
def _require_harness_error(problems: Problems) -> Generator[None]:
    try:
        yield
    except HarnessError:
        return
    problems.add("raises no HarnessError")


def _check_built(problems: Problems, builder: Builder, build: Build) -> None:
    plan = builder.plan(build)
    problems.require_type(plan, str, "plan gives a")
    problems.require(str(plan).strip(), "plan says nothing")
    problems.require(not build.out.exists(), "plan writes")
    first = anyio.run(_build, problems, builder, build)
    again = anyio.run(_build, problems, builder, build)
    for built in (first, again):
        problems.require_type(built, Built, "gives a")
    if isinstance(first, Built) and isinstance(again, Built):
        problems.require(first.folder.is_dir(), "its folder is not there")
        problems.require(all(count >= 0 for count in first.records.values()), "a file holds less than no record")
        problems.require(first.records == again.records, "the same build again gives other numbers of records")


async def _build(problems: Problems, builder: Builder, build: Build) -> object:
    given = cast("object", builder.build(build))
    if isinstance(given, Awaitable):
        return cast("object", await given)
    problems.add(f"build gives a {type(given).__name__} that cannot be awaited")
    return given


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
    """Require an error for a missing model and missing data, and that nothing is written for them."""
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
    """Require the model's folder, and that it says what it was made from."""
    folder = cast("object", trainer.train(training))
    problems.require_type(folder, Path, "train gives a")
    if not isinstance(folder, Path):
        return
    problems.require(folder.is_dir(), f"{folder.name} is not a folder")
    record = folder / RECORD
    problems.require(record.is_file(), f"{folder.name} has no {RECORD}")
    if record.is_file():
        record_keys = json.loads(record.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in record_keys]
        problems.require(not missing, f"{RECORD} does not say {', '.join(missing)}")
