"""The suite for builders finds each breach of what `harness build` relies on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import Build, Builder, Built, HarnessError, Setting
from harness.testing.conformance import NotConforming, check_builder


async def build(build: Build) -> Built:
    texts = read(build).splitlines()
    build.out.mkdir(parents=True, exist_ok=True)
    (build.out / "pairs.txt").write_text("\n".join(texts), encoding="utf-8")
    return Built(folder=build.out, records={"pairs.txt": len(texts)})


def plan(build: Build) -> str:
    return f"{len(read(build).splitlines())} pairs"


def read(build: Build) -> str:
    try:
        return build.config.read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"the config cannot be read: {error.strerror}", where=str(build.config)) from None


GOOD = Builder(name="pairs", description="a line a pair", build=build, plan=plan)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.yaml"
    path.write_text("one\ntwo\n", encoding="utf-8")
    return path


def found(config: Path | None = None, **changes: Any) -> str:
    with pytest.raises(NotConforming) as caught:
        check_builder(replace(GOOD, **changes), config)
    return str(caught.value)


def test_a_builder_that_keeps_its_contract_passes(config: Path) -> None:
    check_builder(GOOD)
    check_builder(GOOD, config)


def test_a_description_is_one_line() -> None:
    assert "description is not one line" in found(description="two\nlines")


def test_a_setting_says_what_it_is_for() -> None:
    setting = Setting(name="size", type=int, default=1, identity=True, help="")
    assert "setting size: the help is not one line" in found(settings=(setting,))


def test_a_config_that_is_not_there_is_told_to_the_user() -> None:
    async def blind(build: Build) -> Built:
        return Built(folder=build.out, records={})

    async def loud(build: Build) -> Built:
        raise FileNotFoundError(build.config)

    assert "build without a config: raises no HarnessError" in found(build=blind)
    assert "build without a config: raised FileNotFoundError" in found(build=loud)
    assert "plan without a config: raises no HarnessError" in found(plan=lambda build: "all of it")


def test_nothing_is_written_for_a_config_that_is_not_there() -> None:
    async def eager(build: Build) -> Built:
        build.out.mkdir(parents=True)
        raise HarnessError("the config cannot be read")

    assert "writes its folder before it has read its config" in found(build=eager)


def test_a_build_can_be_awaited_and_gives_what_was_built(config: Path) -> None:
    async def nothing(build: Build) -> None:
        read(build)

    def at_once(build: Build) -> Built:
        read(build)
        return Built(folder=build.config.parent, records={})

    assert "gives a NoneType" in found(config, build=nothing)
    assert "cannot be awaited" in found(config, build=at_once)


def test_a_plan_says_something_and_writes_nothing(config: Path) -> None:
    def writing(build: Build) -> str:
        read(build)
        build.out.mkdir()
        return " "

    said = found(config, plan=writing)
    assert "plan says nothing" in said
    assert "plan writes" in said


def test_the_same_build_again_comes_to_the_same_numbers(config: Path) -> None:
    async def growing(build: Build) -> Built:
        read(build)
        build.out.mkdir(exist_ok=True)
        (build.out / str(len(list(build.out.iterdir())))).touch()
        return Built(folder=build.out, records={"pairs.txt": len(list(build.out.iterdir()))})

    assert "gives other numbers of records" in found(config, build=growing)
