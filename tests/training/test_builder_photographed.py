"""What a build says and keeps of its photographs where their calls fail, are stopped, or come to no end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness_builder import photographed
from harness_builder.calls.values import Ended, Passed
from harness_builder.people import reviewing
from harness_builder.steps.workshop import Workshop
from harness_builder.values import Step

from harness import HarnessError, Image
from tests.training.reviewed import answer_all, review
from tests.training.test_builder_whole_story import build, configured

FAILED = Ended(end="failed", why="error: timeout", again=True)


class Checks:
    """The hard stop by a model, that ends so for all photographs; it passes them where that is None."""

    def __init__(self) -> None:
        self.ended: Ended | HarnessError | None = None

    async def __call__(self, shop: Workshop, step: Step, owner: str, *images: Image) -> Passed[None] | Ended:
        if isinstance(self.ended, HarnessError):
            raise self.ended
        return self.ended or Passed(value=None)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr(photographed, "check_images", made)
    return made


class TestPhotographsWhoseCallsFailForAReasonThatMayPass:
    def test_leave_the_set_open_until_the_same_command_asks_again(self, tmp_path: Path, checks: Checks) -> None:
        config = configured(tmp_path)
        checks.ended = FAILED
        code, said, told = build(config)
        assert (code, "mis_real.json" in said["records"]) == (3, False), told
        (line,) = said["open"]
        assert line.endswith("failed for a reason that may pass: run the same command again, or with -S finish=true")

        checks.ended = None
        code, said, told = build(config)
        assert (code, said["open"], said["records"]["mis_real.json"]) == (0, [], 2), told

    def test_are_left_out_where_the_set_is_to_be_finished(self, tmp_path: Path, checks: Checks) -> None:
        checks.ended = FAILED
        code, said, told = build(configured(tmp_path), "-S", "finish=true")
        assert (code, said["open"], "mis_real.json" in said["records"]) == (0, [], False), told


class TestTheQueueOfPhotographs:
    """What people are asked about is theirs until photographs are chosen anew, and is no longer than what was chosen."""

    def test_outlives_a_build_that_ends_while_photographs_are_looked_at(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        checks.ended = HarnessError("the limit of calls is reached")
        code, _, told = build(config)
        assert (code, queued(tmp_path)) == (2, before), told

        checks.ended = None
        code, said, told = build(config)
        assert (code, queued(tmp_path)) == (3, before), told
        assert said["open"][0].startswith("2 wait for people")

    def test_holds_only_those_that_were_chosen_last(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        checks.ended = Ended(end="stopped", why="person")
        _, _, told = build(config)
        assert "photographs: 0 records of real" in told
        drawn = {key for key in reviewing(tmp_path / "out").candidates if not key.endswith("@real")}
        assert queued(tmp_path) == set()
        assert {key.removesuffix("@real") for key in before} < drawn, "those that are drawn stay"

    def test_is_empty_once_the_plan_has_no_photographs(self, tmp_path: Path, checks: Checks) -> None:
        _, before = asked(tmp_path)
        assert len(before) == 2
        build(without(tmp_path))
        assert queued(tmp_path) == set()

    def test_lets_go_of_those_whose_twin_asks_something_else(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        gone = sorted(before)[0]
        mend(tmp_path / "out", gone.removesuffix("@real"))
        checks.ended = HarnessError("the limit of calls is reached")
        build(config)
        assert queued(tmp_path) == before - {gone}


def asked(folder: Path) -> tuple[Path, set[str]]:
    """A build whose photographs wait for people: its config, and their keys."""
    config = configured(folder, sort={"review": "people"})
    build(config)
    answer_all(reviewing(folder / "out"), "ann", text_unsafe=False)
    build(config)
    return config, queued(folder)


def queued(folder: Path) -> set[str]:
    """Keys of the photographs that people are asked about."""
    return {key for key in reviewing(folder / "out").candidates if key.endswith("@real")}


def without(folder: Path) -> Path:
    """The same config without photographs."""
    config = folder / "build.yaml"
    said = yaml.safe_load(config.read_text(encoding="utf-8"))
    del said["real"]
    config.write_text(yaml.safe_dump(said), encoding="utf-8")
    return config


def mend(out: Path, key: str) -> None:
    """Give the question of a candidate other words."""
    desk = reviewing(out).desk("ann")
    question = "May the object in the first image lie close to the object in the second image?"
    desk.take(review(key, "ann", "fix", question=question, text_unsafe=False))
