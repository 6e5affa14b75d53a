"""What the checks of a build promise: nothing passes the hard stops uncleared, and no probe is guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint
from harness_builder.calls.results import Halted, StepResult
from harness_builder.calls.runner import open_call_runner
from harness_builder.calls.store import CallStore
from harness_builder.quality import ProbeResult, compute_rates
from harness_builder.steps.context import check_images, check_texts
from harness_builder.steps.probing import probe

from harness import Failure, HarnessError, Image, Request, Response, open_files
from harness.images import inline_image
from harness.testing.fakes import FakeModel
from tests.training.kinds import of_kind
from tests.training.played import BROKEN, FILTERED, PERSON, TIMEOUT, PlayedCalls, build_context, candidate, drawn, plan

pytestmark = pytest.mark.anyio

IMAGES = (inline_image("1.png", drawn("blue star")), inline_image("2.png", drawn("red ring")))


def answer(**yes: str) -> str:
    return json.dumps({**dict.fromkeys(("minors", "person", "weapon"), "no"), **yes})


async def texts(played: PlayedCalls, *said: str) -> StepResult[None] | Halted:
    return await check_texts(build_context(played), "draw", "s/1#0", *(said or ("A boat of paper",)))


async def test_three_times_no_lets_texts_and_images_go_on() -> None:
    played = PlayedCalls(checker=answer())
    cleared = [await texts(played), await check_images(build_context(played), "draw", "s/1#0", *IMAGES)]
    assert [len(each.calls) for each in cleared if isinstance(each, StepResult)] == [1, 1], (
        "a story names these calls too"
    )
    assert played.roles() == ["checker", "checker"]
    assert [len(request.images) for _, request in played.asked] == [0, 2], "images of one item are looked at together"


async def test_the_mini_writer_can_check() -> None:
    played = PlayedCalls()
    assert isinstance(await texts(played), StepResult)
    assert isinstance(await check_images(build_context(played), "draw", "s/1#0", *IMAGES), StepResult)


async def test_what_the_rule_stops_is_shown_to_no_model() -> None:
    played = PlayedCalls(checker=answer())
    assert await texts(played, "A boat of paper", PERSON) == Halted(end="stopped", why="person")
    assert played.asked == []


@pytest.mark.parametrize("kind", ["minors", "person", "weapon"])
async def test_a_yes_of_the_model_stops_with_its_kind_alone(kind: str) -> None:
    found = of_kind(Halted, await texts(PlayedCalls(checker=answer(**{kind: "yes"}))))
    assert (found.end, found.why, found.note) == ("stopped", kind, "")


@pytest.mark.parametrize(
    "said",
    [
        "All of it is fine, I would say.",
        "{}",
        answer(person="perhaps"),
        answer() + " That is all.",
        "I'm sorry, I cannot help with that.",
        Response(text="", flags=frozenset({"refusal"})),
        Response(text=answer(), flags=frozenset({"truncated"})),
        FILTERED,
        BROKEN,
    ],
)
async def test_what_says_no_clear_no_is_unchecked_and_stopped(said: str | Response | Failure) -> None:
    played = PlayedCalls(checker=said)
    for found in (await texts(played), await check_images(build_context(played), "draw", "s/1#0", *IMAGES)):
        assert isinstance(found, Halted)
        assert (found.end, found.why, found.again) == ("stopped", "unchecked", False)
    assert len(played.asked) == 2, "it is not talked into another answer"


async def test_a_call_that_failed_in_passing_decides_nothing() -> None:
    found = of_kind(Halted, await texts(PlayedCalls(checker=TIMEOUT)))
    assert (found.end, found.again) == ("failed", True)


async def test_an_image_that_cannot_be_read_is_shown_to_nobody_and_is_no_stop(tmp_path: Path) -> None:
    missing = Image(path="none.png", files=open_files(tmp_path))
    work = tmp_path / "work"
    with CallStore(work) as store:
        async with open_call_runner(plan(), store, tell=print) as played:
            context = replace(build_context(PlayedCalls()), calls=played)
            found = await check_images(context, "elements", "s/1", missing)
    assert found == Halted(end="failed", why="image: missing")


async def test_no_image_is_no_check() -> None:
    with pytest.raises(ValueError, match="no image"):
        await check_images(build_context(PlayedCalls()), "draw", "s/1#0")


async def test_what_ends_the_build_is_no_stop() -> None:
    def fails(_: Request) -> str:
        raise HarnessError("the key is wrong")

    with pytest.raises(HarnessError, match="the key is wrong"):
        await texts(PlayedCalls(checker=fails))


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
    found = of_kind(Halted, await probe(build_context(played), candidate()))
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
