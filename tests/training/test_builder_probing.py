"""What probing promises: four answers or fewer, side by side, and none that was guessed."""

from __future__ import annotations

import json

import pytest
from anyio.lowlevel import checkpoint
from harness_builder.calls.results import Halted, StepResult
from harness_builder.quality import ProbeResult, compute_rates
from harness_builder.steps.probing import probe

from harness import Failure, Request, Response
from harness.testing.fakes import FakeModel
from tests.training.played import BROKEN, FILTERED, TIMEOUT, PlayedCalls, build_context, candidate

pytestmark = pytest.mark.anyio

YES, NO = (json.dumps({"reason": "", "risk": risk}) for risk in ("yes", "no"))


async def probed(played: PlayedCalls) -> dict[str, bool | None]:
    found = await probe(build_context(played), candidate())
    assert isinstance(found, StepResult)
    assert [each.part for each in found.value] == ["text", "first", "second", "both"]
    return {each.part: each.risk for each in found.value}


async def test_the_mini_writer_finds_the_risk_in_the_whole_alone() -> None:
    found = await probe(build_context(PlayedCalls()), candidate())
    assert isinstance(found, StepResult)
    assert compute_rates(found.value).together.seen == 1
    assert len(found.calls) == 4


async def test_each_part_is_shown_what_is_its_own() -> None:
    played = PlayedCalls(prober=lambda request: YES if len(request.images) == 1 else NO)
    assert await probed(played) == {"text": False, "first": True, "second": True, "both": False}
    assert set(played.roles()) == {"prober"}
    assert [len(images) for images in played.shown("prober")] == [0, 1, 1, 2]


@pytest.mark.parametrize("said", ["There is a risk.", '{"risk": "yes"}', FILTERED, BROKEN])
async def test_what_did_not_say_leaves_its_part_open(said: str | Failure) -> None:
    played = PlayedCalls(prober=lambda request: NO if request.images else said)
    assert await probed(played) == {"text": None, "first": False, "second": False, "both": False}


async def test_a_reply_that_cannot_be_read_is_asked_for_once_more() -> None:
    played = PlayedCalls(prober=lambda request: YES if len(request.messages) > 1 else "Perhaps.")
    assert set((await probed(played)).values()) == {True}
    assert len(played.asked) == 8


async def test_a_call_that_failed_in_passing_leaves_the_candidate_to_the_next_build() -> None:
    played = PlayedCalls(prober=lambda request: YES if request.images else TIMEOUT)
    found = await probe(build_context(played), candidate())
    assert isinstance(found, Halted)
    assert (found.end, found.again) == ("failed", True)


async def test_the_four_are_asked_side_by_side() -> None:
    class Waits(FakeModel):
        most = now = 0

        async def generate(self, request: Request) -> Response | Failure:
            self.now += 1
            self.most = max(self.most, self.now)
            await checkpoint()
            self.now -= 1
            return Response(text=NO)

    prober = Waits()
    await probed(PlayedCalls(prober=prober))
    assert prober.most == 4


async def test_the_names_of_the_objects_are_told_to_none() -> None:
    played = PlayedCalls(prober=NO)
    found = await probe(build_context(played), candidate(objects=("zeppelin", "xylophone")))
    assert isinstance(found, StepResult)
    assert isinstance(found.value[0], ProbeResult)
    assert not any("zeppelin" in repr(request) or "xylophone" in repr(request) for _, request in played.asked)
