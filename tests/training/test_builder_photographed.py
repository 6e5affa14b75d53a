"""What a build says and keeps of its photographs where their calls fail, are stopped, or come to no end."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_builder import photographed
from harness_builder.calls.values import Ended, Passed
from harness_builder.steps.workshop import Workshop
from harness_builder.values import Step

from harness import Image
from tests.training.test_builder_whole_story import build, configured

FAILED = Ended(end="failed", why="error: timeout", again=True)


class Checks:
    """The hard stop by a model, that ends so for all photographs; it passes them once that is None."""

    def __init__(self, ended: Ended | None = None) -> None:
        self.ended = ended

    async def __call__(self, shop: Workshop, step: Step, owner: str, *images: Image) -> Passed[None] | Ended:
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
