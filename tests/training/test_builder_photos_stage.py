"""What a build says and keeps of its photographs where their calls fail, are stopped, or come to no end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_builder.calls.results import Halted, StepResult
from harness_builder.people import open_review_queue
from harness_builder.photos import stage
from harness_builder.photos.selection import photo_owner
from harness_builder.steps.context import BuildContext
from harness_builder.values import Step

from harness import HarnessError, Image
from tests.training.played import PERSON
from tests.training.reviewed import answer_all, review
from tests.training.test_builder_whole_story import build, configured, owned, provenance, real

FAILED = Halted(end="failed", why="error: timeout", again=True)


class Checks:
    """The hard stop by a model, that ends so for all photographs; it passes them where that is None."""

    def __init__(self) -> None:
        self.ended: Halted | HarnessError | None = None

    async def __call__(
        self, context: BuildContext, step: Step, owner: str, *images: Image
    ) -> StepResult[None] | Halted:
        if isinstance(self.ended, HarnessError):
            raise self.ended
        return self.ended or StepResult(value=None)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    made = Checks()
    monkeypatch.setattr(stage, "check_images", made)
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


class TestNothingStaysOfAPhotograph:
    """What the build keeps of one are its image and its calls."""

    def test_that_another_checker_stops(self, tmp_path: Path, checks: Checks) -> None:
        config, out = configured(tmp_path), tmp_path / "out"
        build(config)
        before, stopped = shown(out), firsts(out)
        assert (len(before), images(out) >= before, len(owners(out) & set(map(photo_owner, before)))) == (4, True, 4)
        checks.ended = Halted(end="stopped", why="person")
        _, said, told = build(config)
        assert "mis_real.json" not in said["records"]
        assert "photographs: 0 records of real" in told
        assert images(out) & before == set()
        assert owners(out) & set(map(photo_owner, stopped)) == set()
        assert [each for each in stopped if in_files(out, each.encode())] == []

    def test_whose_caption_is_one_that_stops_it(self, tmp_path: Path, checks: Checks) -> None:
        config, out = configured(tmp_path), tmp_path / "out"
        build(config)
        before, stopped = shown(out), firsts(out)
        for each in (tmp_path / "album").glob("*.txt"):
            each.write_text(f"{each.read_text(encoding='utf-8')} {PERSON}", encoding="utf-8")
        _, _, told = build(config)
        assert "stopped: person" in told
        assert images(out) & before == set()
        assert owners(out) & set(map(photo_owner, stopped)) == set()

    def test_in_images_that_no_record_shows_any_more_and_it_is_not_asked_about_again(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        build(configured(tmp_path))
        before, drawn = shown(out), images(out) - shown(out)
        assert drawn
        _, _, told = build(with_photographs(tmp_path, real(count=1)))
        assert len(shown(out)) == 2
        assert images(out) == drawn | shown(out), told
        _, said, _ = build(with_photographs(tmp_path))
        assert ("mis_real.json" in said["records"], images(out)) == (False, drawn)
        calls = owners(out)
        build(with_photographs(tmp_path, real()))
        assert (shown(out), owners(out)) == (before, calls)


def shown(out: Path) -> set[str]:
    """sha256 of the images that records of photographs show."""
    records = [each for each in provenance(out) if "of" in each]
    return {photo["sha256"] for each in records for photo in each["photographs"] if photo["taken"]}


def firsts(out: Path) -> set[str]:
    """Those of the first objects: where they are stopped no second one is looked for."""
    return {each["photographs"][0]["sha256"] for each in provenance(out) if "of" in each}


def images(out: Path) -> set[str]:
    """sha256 of those that the build keeps."""
    return {path.stem for path in (out / "work" / "images").rglob("*") if path.is_file()}


def owners(out: Path) -> set[str]:
    return set(owned(out))


def in_files(out: Path, said: bytes) -> bool:
    return any(said in path.read_bytes() for path in out.rglob("*") if path.is_file())


class TestTheQueueOfPhotographs:
    """What people are asked about is theirs until photographs are chosen anew."""

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
        checks.ended = Halted(end="stopped", why="person")
        _, _, told = build(config)
        assert "photographs: 0 records of real" in told
        drawn = {key for key in open_review_queue(tmp_path / "out").candidates if not key.endswith("@real")}
        assert queued(tmp_path) == set()
        assert {key.removesuffix("@real") for key in before} < drawn, "those that are drawn stay"

    def test_is_empty_once_the_plan_has_no_photographs(self, tmp_path: Path, checks: Checks) -> None:
        _, before = asked(tmp_path)
        assert len(before) == 2
        build(with_photographs(tmp_path))
        assert queued(tmp_path) == set()

    def test_lets_go_of_those_whose_twin_asks_something_else(self, tmp_path: Path, checks: Checks) -> None:
        config, before = asked(tmp_path)
        gone = min(before)
        mend(tmp_path / "out", gone.removesuffix("@real"))
        checks.ended = HarnessError("the limit of calls is reached")
        build(config)
        assert queued(tmp_path) == before - {gone}


def asked(folder: Path) -> tuple[Path, set[str]]:
    """A build whose photographs wait for people: its config, and their keys."""
    config = configured(folder, sort={"review": "people"})
    build(config)
    answer_all(open_review_queue(folder / "out"), "ann", text_unsafe=False)
    build(config)
    return config, queued(folder)


def queued(folder: Path) -> set[str]:
    """Keys of the photographs that people are asked about."""
    return {key for key in open_review_queue(folder / "out").candidates if key.endswith("@real")}


def with_photographs(folder: Path, *asked: dict[str, Any]) -> Path:
    """The same config with these photographs; without any where none are asked for."""
    config = folder / "build.yaml"
    said = yaml.safe_load(config.read_text(encoding="utf-8"))
    said = {name: value for name, value in said.items() if name != "real"}
    said |= dict(zip(("real",), asked, strict=False))
    config.write_text(yaml.safe_dump(said), encoding="utf-8")
    return config


def mend(out: Path, key: str) -> None:
    """Give the question of a candidate other words."""
    session = open_review_queue(out).session("ann")
    question = "May the object in the first image lie close to the object in the second image?"
    session.import_review(review(key, "ann", "fix", question=question, text_unsafe=False))
