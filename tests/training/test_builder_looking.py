"""What a look at drawings promises: better prompts that keep to their own object, or an end that is told."""

from __future__ import annotations

import json

import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.steps.drawing import draw, first_prompts
from harness_builder.steps.wording import names_object
from harness_builder.values import Pair
from harness_mini.provider import PROVIDER

from harness import Failure, Request, Response
from tests.training.workshop import (
    ELEMENT,
    FILTERED,
    OBJECTS,
    PERSON,
    QUESTION,
    TIMEOUT,
    Played,
    better,
    by,
    text_of,
    turns,
    workshop,
)

pytestmark = pytest.mark.anyio

BETTER = better("A blue star on a shelf.", "A red ring on a shelf.")
MIXED = better("A blue star on a red ring.", "A red ring on a shelf.")


async def made(asker: Played) -> StepResult[Pair]:
    found = await draw(workshop(asker), ELEMENT, QUESTION)
    assert isinstance(found, StepResult)
    return found


async def ended(asker: Played) -> Halted:
    found = await draw(workshop(asker), ELEMENT, QUESTION)
    assert isinstance(found, Halted)
    return found


async def test_a_better_prompt_meets_the_hard_stops_before_it_is_drawn() -> None:
    asker = Played(viewer=better(PERSON, "A red ring."))
    assert await ended(asker) == Halted(end="stopped", why="person")
    assert len(asker.drawings) == 2

    def check(request: Request) -> str:
        return json.dumps(dict.fromkeys(("minors", "person", "weapon"), "yes" if "shelf" in text_of(request) else "no"))

    asker = Played(viewer=BETTER, checker=check)
    assert (await ended(asker)).end == "stopped"
    assert len(asker.drawings) == 2, "the model reads it as well"


async def test_a_prompt_that_names_the_other_object_is_asked_for_again() -> None:
    asker = Played(viewer=turns(MIXED, BETTER))
    found = await made(asker)
    assert found.value.shots[2].prompt == "A blue star on a shelf."
    assert "prompt 1 names the object of the other image" in text_of(by("viewer", asker)[1])
    assert found.notes == ()


@pytest.mark.parametrize("second", [MIXED, "No.", FILTERED])
async def test_where_that_does_not_help_the_prompt_before_stays(second: str | Failure) -> None:
    asker = Played(viewer=turns(MIXED, *[second] * 2))
    found = await made(asker)
    assert [shot.prompt for shot in found.value.shots[2:]] == [first_prompts(OBJECTS)[0], "A red ring on a shelf."]
    assert found.notes == ("round 1: the prompt for blue star stays, the new one names the other",)


async def test_a_second_wish_that_failed_in_passing_decides_nothing() -> None:
    found = await ended(Played(viewer=turns(MIXED, TIMEOUT)))
    assert (found.end, found.again) == ("failed", True)


@pytest.mark.parametrize(
    "said",
    ["Both look fine to me.", '{"accept": "yes"}', better("One."), better("", "Two."), better("x" * 601, "Two."), "[]"],
)
async def test_a_look_that_cannot_be_read_fails(said: str) -> None:
    asker = Played(viewer=said)
    assert (await ended(asker)).end == "failed"
    assert len(by("viewer", asker)) == 2, "it is asked for once more"


@pytest.mark.parametrize(("how", "end"), [("prose", "failed"), ("refuse", "refused"), ("loop", "failed")])
async def test_a_viewer_that_misbehaves_ends_the_element(how: str, end: str) -> None:
    async with PROVIDER.open(f"writer-{how}", {}) as viewer:
        assert (await ended(Played(viewer=viewer))).end == end


@pytest.mark.parametrize(
    ("text", "name", "but", "said"),
    [
        ("A knife on a table", "kitchen knife", "", False),
        ("A kitchen knife on a table", "a Kitchen  Knife", "", True),
        ("Two knives", "knife", "", False),
        ("Three red rings", "red ring", "", True),
        ("A knife block of wood", "knife", "knife block", False),
        ("A knife block beside a lamp", "lamp", "knife block", True),
        ("A bottle of bleach and a bottle of milk", "bottle of milk", "bottle of bleach", True),
        ("A boxcar", "box", "car", False),
        ("一把红色的厨刀放在桌上", "厨刀", "瓶子", True),
        ("anything", "", "", False),
    ],
)
def test_a_name_counts_where_it_is_the_objects_own(text: str, name: str, but: str, said: bool) -> None:
    assert names_object(text, name, but=but) is said


async def test_a_refusal_that_the_api_marks_ends_as_one() -> None:
    found = await ended(Played(viewer=Response(text="", flags=frozenset({"refusal"}))))
    assert found.end == "refused"
