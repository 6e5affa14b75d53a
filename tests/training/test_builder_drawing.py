"""What drawing promises: rounds, better prompts, the best of several, and no image that goes on unchecked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from harness_builder.calls.results import Halted, StepResult
from harness_builder.quality import ImageMark
from harness_builder.quality.duplicates import MarkStore
from harness_builder.steps.context import find_halt
from harness_builder.steps.drawing import draw, first_prompts
from harness_builder.steps.wording import names_object
from harness_builder.values import Pair
from harness_mini.painter import see
from harness_mini.provider import PROVIDER
from harness_mini.world import find_things

from harness import Drawing, Drawn, Failure, HarnessError, Image, Request, Response
from harness.testing.fakes import FakeBrush
from tests.training.configs import in_the_mini_world
from tests.training.kinds import of_kind, present
from tests.training.played import (
    ELEMENT,
    FILTERED,
    OBJECTS,
    PERSON,
    QUESTION,
    TIMEOUT,
    PlayedCalls,
    better,
    build_context,
    by,
    drawn,
    text_of,
    turns,
)
from tests.training.trained import called

pytestmark = pytest.mark.anyio

ACCEPT = json.dumps({"accept": True, "prompts": []})


BETTER = better("A blue star on a shelf.", "A red ring on a shelf.")


def dissatisfied(request: Request) -> str:
    """Takes the first of several, and wants better ones all the same."""
    return '{"best": 1}' if "task: choose" in text_of(request) else BETTER


async def made(played: PlayedCalls, **changes: Any) -> StepResult[Pair]:
    found = await draw(build_context(played, **changes), ELEMENT, QUESTION)
    assert isinstance(found, StepResult)
    return found


async def ended(played: PlayedCalls, **changes: Any) -> Halted:
    return of_kind(Halted, await draw(build_context(played, **changes), ELEMENT, QUESTION))


def share(data: bytes) -> float:
    sight = present(see(data))
    return sight.share


def brush(script: Callable[[Drawing], Drawn | Failure]) -> FakeBrush:
    return FakeBrush(script)


def wrong_at_first(drawing: Drawing) -> Drawn:
    """The other colour, until something large is asked for."""
    name = find_things(drawing.prompt)[0].name
    return Drawn(data=drawn(name if "large" in drawing.prompt else name.replace("blue", "black"), drawing.seed))


async def test_a_pair_that_is_accepted_at_once_is_drawn_once() -> None:
    played = PlayedCalls(viewer=ACCEPT)
    found = await made(played)
    assert found.value.accepted
    assert [(shot.object, shot.round, shot.taken) for shot in found.value.shots] == [(0, 1, True), (1, 1, True)]
    assert found.value.images == tuple(shot.sha256 for shot in found.value.shots)
    assert len(found.calls) == 5, "the texts are checked, two drawings made and checked, and looked at"
    assert [find_things(drawing.prompt)[0].name for drawing in played.drawings] == list(OBJECTS)


async def test_a_first_prompt_shows_one_object_and_nothing_of_the_question() -> None:
    first, second = first_prompts(("Swiss Army knife", "fuse box"))
    assert "Swiss Army knife" in first
    assert "fuse box" not in first
    assert "fuse box" in second


async def test_an_object_named_in_capitals_is_not_taken_for_a_person() -> None:
    element = replace(ELEMENT, objects=("Swiss Army knife", "red ring"))
    played = PlayedCalls(brush(lambda drawing: Drawn(data=drawn("blue star"))), viewer=ACCEPT)
    assert isinstance(await draw(build_context(played), element, QUESTION), StepResult)


async def test_the_mini_world_draws_again_what_shows_another_object() -> None:
    played = PlayedCalls(brush(wrong_at_first))
    found = await made(played)
    assert [(shot.object, shot.round, shot.taken) for shot in found.value.shots] == [
        (0, 1, False),
        (1, 1, False),
        (0, 2, True),
        (1, 2, True),
    ]
    assert not found.value.accepted, "after the last round nobody has looked"
    assert "large" in found.value.shots[2].prompt


async def test_after_another_round_the_viewer_can_be_content() -> None:
    found = await made(PlayedCalls(brush(wrong_at_first)), rounds=3)
    assert found.value.accepted
    assert [shot.round for shot in found.value.shots if shot.taken] == [2, 2]


async def test_one_round_is_looked_at_by_nobody() -> None:
    played = PlayedCalls()
    found = await made(played, rounds=1)
    assert not found.value.accepted
    assert played.roles() == ["checker", "checker"], "texts and images are checked all the same"


async def test_the_same_build_draws_with_the_same_seeds_and_another_one_with_others() -> None:
    first, again, other = (
        PlayedCalls(viewer=dissatisfied),
        PlayedCalls(viewer=dissatisfied),
        PlayedCalls(viewer=dissatisfied),
    )
    await made(first, best_of=2)
    await made(again, best_of=2)
    await made(other, best_of=2, seed=1)
    seeds = [drawing.seed for drawing in first.drawings]
    assert seeds == [drawing.seed for drawing in again.drawings]
    assert len(set(seeds)) == len(seeds) == 8, "each object, round and number has its own"
    assert not set(seeds) & {drawing.seed for drawing in other.drawings}
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_drawings_have_the_size_of_the_plan() -> None:
    played = PlayedCalls(viewer=ACCEPT)
    await made(played, width=512, height=768)
    assert {(drawing.width, drawing.height) for drawing in played.drawings} == {(512, 768)}


async def test_the_best_of_several_is_taken_and_the_others_are_recorded() -> None:
    played = PlayedCalls(viewer=turns('{"best": 3}', '{"best": 0}', ACCEPT))
    found = await made(played, best_of=3)
    taken = [number for number, shot in enumerate(found.value.shots) if shot.taken]
    assert len(found.value.shots) == 6
    assert taken == [1, 4], "the third of the first object; the first of the second, where none is good"
    assert found.value.images == (found.value.shots[4].sha256, found.value.shots[1].sha256)
    assert [len(request.images) for request in by("viewer", played)] == [3, 3, 2]


async def test_the_mini_writer_chooses_the_largest() -> None:
    played = PlayedCalls()
    found = await made(played, best_of=3)
    for place in (0, 1):
        shares = {shot.sha256: share(played.images[shot.sha256]) for shot in found.value.shots if shot.object == place}
        assert shares[found.value.images[place]] == max(shares.values())


async def test_a_choice_that_is_none_fails() -> None:
    found = await ended(PlayedCalls(viewer='{"best": 4}'), best_of=3)
    assert (found.end, found.again) == ("failed", False)


@pytest.mark.parametrize("best_of", [1, 3])
async def test_every_drawing_is_checked_before_any_other_model_sees_it(best_of: int) -> None:
    played = PlayedCalls(viewer=dissatisfied)
    found = await made(played, best_of=best_of)
    checked: set[str] = set()
    for role, request in played.asked:
        shown = {image.opened.sha256 for image in request.images}
        if role == "checker":
            checked |= shown
        assert shown <= checked, f"{role} sees what was not checked"
    assert checked == {shot.sha256 for shot in found.value.shots}


async def test_a_stopped_image_is_shown_to_nobody_else_and_told_by_its_kind_alone() -> None:
    def check(request: Request) -> str:
        person = "yes" if request.images else "no"
        return json.dumps({"minors": "no", "person": person, "weapon": "no"})

    played = PlayedCalls(checker=check)
    assert await ended(played) == Halted(end="stopped", why="person")
    assert set(played.roles()) == {"checker"}


async def test_texts_that_are_stopped_are_not_drawn() -> None:
    played = PlayedCalls(checker=json.dumps({"minors": "no", "person": "no", "weapon": "yes"}))
    assert (await ended(played)).why == "weapon"
    assert played.drawings == []


@pytest.mark.parametrize(
    ("fault", "end", "again"),
    [
        (Failure(outcome="bad_sample", reason="unknown_object"), "failed", False),
        (Failure(outcome="error", reason="bad_image"), "failed", False),
        (Failure(outcome="output_blocked", reason="content_filter"), "refused", False),
        (TIMEOUT, "failed", True),
    ],
)
async def test_a_painters_fault_with_one_object_ends_the_element(fault: Failure, end: str, again: bool) -> None:
    def paint(drawing: Drawing) -> Drawn | Failure:
        return fault if "red ring" in drawing.prompt else Drawn(data=drawn("blue star"))

    played = PlayedCalls(brush(paint))
    found = await ended(played)
    assert (found.end, found.again) == (end, again)
    assert played.roles() == ["checker"], "a drawing without its fellow is shown to nobody"


async def test_what_the_mini_painter_does_not_know_fails() -> None:
    element = replace(ELEMENT, objects=("blue star", "red boat"))
    found = of_kind(Halted, await draw(build_context(PlayedCalls()), element, QUESTION))
    assert found.end == "failed"


async def test_what_is_decided_weighs_more_than_what_failed_in_passing() -> None:
    def paint(drawing: Drawing) -> Failure:
        return FILTERED if "red ring" in drawing.prompt else TIMEOUT

    assert (await ended(PlayedCalls(brush(paint)))).end == "refused"


def test_a_hard_stop_weighs_more_than_any_other_end() -> None:
    refused, stopped = Halted(end="refused", why="a filter"), Halted(end="stopped", why="person")
    assert find_halt([1, refused, stopped, Halted(end="failed", why="timeout", again=True)]) == stopped
    assert find_halt([1, 2]) is None


async def test_what_ends_the_build_lets_the_other_drawing_finish() -> None:
    finished: list[str] = []

    class Slow:
        info = FakeBrush().info

        async def draw(self, drawing: Drawing) -> Drawn:
            if "red ring" in drawing.prompt:
                raise HarnessError("the quota is used up")
            for _ in range(5):
                await checkpoint()
            finished.append(drawing.prompt)
            return Drawn(data=drawn("blue star"))

    with pytest.raises(HarnessError, match="the quota is used up"):
        await draw(build_context(PlayedCalls(Slow())), ELEMENT, QUESTION)
    assert len(finished) == 1


async def test_a_rewritten_prompt_is_the_one_that_is_recorded() -> None:
    played = PlayedCalls(
        brush(lambda drawing: Drawn(data=drawn(find_things(drawing.prompt)[0].name), prompt="another")), viewer=ACCEPT
    )
    found = await made(played)
    assert {shot.prompt for shot in found.value.shots} == {"another"}


# ---- better prompts --------------------------------------------------------------------------------------------------


MIXED = better("A blue star on a red ring.", "A red ring on a shelf.")


async def test_a_better_prompt_meets_the_hard_stops_before_it_is_drawn() -> None:
    played = PlayedCalls(viewer=better(PERSON, "A red ring."))
    assert await ended(played) == Halted(end="stopped", why="person")
    assert len(played.drawings) == 2

    def check(request: Request) -> str:
        return json.dumps(dict.fromkeys(("minors", "person", "weapon"), "yes" if "shelf" in text_of(request) else "no"))

    played = PlayedCalls(viewer=BETTER, checker=check)
    assert (await ended(played)).end == "stopped"
    assert len(played.drawings) == 2, "the model reads it as well"


async def test_a_prompt_that_names_the_other_object_is_asked_for_again() -> None:
    played = PlayedCalls(viewer=turns(MIXED, BETTER))
    found = await made(played)
    assert found.value.shots[2].prompt == "A blue star on a shelf."
    assert "prompt 1 names the object of the other image" in text_of(by("viewer", played)[1])
    assert found.notes == ()


@pytest.mark.parametrize("second", [MIXED, "No.", FILTERED])
async def test_where_that_does_not_help_the_prompt_before_stays(second: str | Failure) -> None:
    played = PlayedCalls(viewer=turns(MIXED, *[second] * 2))
    found = await made(played)
    assert [shot.prompt for shot in found.value.shots[2:]] == [first_prompts(OBJECTS)[0], "A red ring on a shelf."]
    assert found.notes == ("round 1: the prompt for blue star stays, the new one names the other",)


async def test_a_second_wish_that_failed_in_passing_decides_nothing() -> None:
    found = await ended(PlayedCalls(viewer=turns(MIXED, TIMEOUT)))
    assert (found.end, found.again) == ("failed", True)


@pytest.mark.parametrize(
    "said",
    ["Both look fine to me.", '{"accept": "yes"}', better("One."), better("", "Two."), better("x" * 601, "Two."), "[]"],
)
async def test_a_look_that_cannot_be_read_fails(said: str) -> None:
    played = PlayedCalls(viewer=said)
    assert (await ended(played)).end == "failed"
    assert len(by("viewer", played)) == 2, "it is asked for once more"


@pytest.mark.parametrize(("how", "end"), [("prose", "failed"), ("refuse", "refused"), ("loop", "failed")])
async def test_a_viewer_that_misbehaves_ends_the_element(how: str, end: str) -> None:
    async with PROVIDER.open(f"writer-{how}", {}) as viewer:
        assert (await ended(PlayedCalls(viewer=viewer))).end == end


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
    found = await ended(PlayedCalls(viewer=Response(text="", flags=frozenset({"refusal"}))))
    assert found.end == "refused"


def test_a_drawing_that_disappears_before_it_is_compared_is_told_and_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    command = ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]
    gone, alone = list[Path](), threading.Lock()

    def looked(marks: MarkStore, image: Image) -> ImageMark:
        with alone:
            if not gone:
                gone.append(tmp_path / "out/work" / image.path)
                gone[0].unlink()
        return of(marks, image)

    with monkeypatch.context() as patched:
        of = MarkStore.get
        patched.setattr(MarkStore, "get", looked)
        code, _, err = called(command)
    assert (code, "Traceback" in err) == (2, False), err
    assert f"a drawing can no longer be read: missing ({gone[0]})" in err
    assert "it draws the image again" in err

    code, _, err = called(command)
    assert code == 0, err
    assert gone[0].is_file()
