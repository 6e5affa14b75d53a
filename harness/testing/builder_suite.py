"""The suite for builders: what `harness build` relies on, so that one which passes works."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anyio

from harness.contracts import Build, Builder, Built
from harness.errors import HarnessError
from harness.settings import effective

from .problems import Problems
from .task_suite import check_described


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
    """A config that is not there is the user's to mend, and nothing is written for it."""
    with problems.at("plan without a config"), _mendable(problems):
        builder.plan(build)
    with problems.at("build without a config"), _mendable(problems):
        anyio.run(_awaited, problems, builder, build)
    problems.require(not build.out.exists(), "writes its folder before it has read its config")


@contextmanager
def _mendable(problems: Problems) -> Generator[None]:
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
    first = anyio.run(_awaited, problems, builder, build)
    again = anyio.run(_awaited, problems, builder, build)
    for built in (first, again):
        problems.require_type(built, Built, "gives a")
    if isinstance(first, Built) and isinstance(again, Built):
        problems.require(first.folder.is_dir(), "its folder is not there")
        problems.require(all(count >= 0 for count in first.records.values()), "a file holds less than no record")
        problems.require(first.records == again.records, "the same build again gives other numbers of records")


async def _awaited(problems: Problems, builder: Builder, build: Build) -> object:
    doing = cast("object", builder.build(build))
    if isinstance(doing, Awaitable):
        return cast("object", await doing)
    problems.add(f"build gives a {type(doing).__name__} that cannot be awaited")
    return doing
