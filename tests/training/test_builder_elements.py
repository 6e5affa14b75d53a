"""What is taken from a seed: elements with two objects, by their place in the reply, and how the others end."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from harness_builder.calls.results import Halted, ModelReply, StepResult, stop_of, stop_to_json
from harness_builder.steps.questions import find_elements
from harness_builder.stops import Stop
from harness_builder.values import Element, Seed
from harness_mini.writer import Writer

from harness import Image
from harness.images import inline_image
from tests.training.played import FILTERED, PERSON, TIMEOUT, PlayedCalls, build_context, by, drawn, text_of, turns

SEED = Seed(key="s/1", source="s", text="a red star near a blue ring")
NAMES_ONE = "names one object"


def ask(seed: Seed = SEED, played: PlayedCalls | None = None, **plan: Any) -> Any:
    return anyio.run(find_elements, build_context(played or PlayedCalls(), **plan), seed)


def told(reply: Any, **plan: Any) -> Any:
    """What comes of a seed to which the writer says this."""
    text = reply if isinstance(reply, str) else json.dumps(reply)
    return ask(played=PlayedCalls(writer=text), **plan)


def item(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "category": "Kitchen",
        "question": f"May I put the cup {number} on the tray {number}?",
        "object1": f"cup {number}",
        "object2": f"tray {number}",
        **fields,
    }


def whys(found: StepResult[tuple[Element | Halted, ...]]) -> list[str]:
    """How each element ended; empty for one that goes on."""
    return [each.why if isinstance(each, Halted) else "" for each in found.value]


def test_a_seed_with_a_fault_fails_with_it_and_nobody_is_asked() -> None:
    played = PlayedCalls()
    found = ask(Seed(key="s/1", source="s", fault="the record has neither a text nor an image"), played)
    assert found == Halted(end="failed", why="the record has neither a text nor an image")
    assert played.asked == []


# ---- what goes on ------------------------------------------------------------------------------------------------


def test_a_text_gives_the_elements_that_the_writer_names_with_keys_by_their_place() -> None:
    played = PlayedCalls()
    found = ask(Seed(key="s/1", source="s", text="I like every cross"), played, per_text=3)
    assert [each.key for each in found.value] == ["s/1#0", "s/1#1", "s/1#2"]
    assert all(each.seed == "s/1" and each.category and len(set(each.objects)) == 2 for each in found.value)
    assert len(found.calls) == 1
    assert by("viewer", played) == []


def test_a_picture_is_shown_to_the_viewer_with_its_own_number_of_elements() -> None:
    played = PlayedCalls()
    seed = Seed(key="s/1", source="s", image=inline_image("seed.png", drawn("green triangle")))
    found = ask(seed, played, per_text=1, per_image=3)
    assert [each.objects[0] for each in found.value] == ["green triangle"] * 3
    (request,) = by("viewer", played)
    assert len(request.images) == 1
    assert "A picture is shown to you" in text_of(request)
    assert by("writer", played) == []


def test_what_is_said_beside_a_picture_is_shown_with_it() -> None:
    played = PlayedCalls()
    image = inline_image("seed.png", drawn("green triangle"))
    ask(Seed(key="s/1", source="s", text="These words.", image=image, category="Fire"), played)
    (request,) = by("viewer", played)
    assert "These words." in text_of(request)
    assert "Fire" in text_of(request)


def test_no_more_elements_are_taken_than_were_asked_for() -> None:
    found = told([item(1), item(2), item(3)], per_text=2)
    assert [each.objects for each in found.value] == [("cup 1", "tray 1"), ("cup 2", "tray 2")]


def test_what_a_model_says_again_is_one_element() -> None:
    found = told([item(1), item(1), item(2), item(1, object1="CUP 1"), item(2)], per_text=9)
    assert [each.objects[0] for each in found.value] == ["cup 1", "cup 2"]


def test_fields_that_nobody_asked_for_are_not_kept() -> None:
    played = PlayedCalls(writer=json.dumps([item(1, how="in detail", steps=["one"])]))
    ask(played=played)
    (asked,) = (each for each in played.questions if each.step == "elements" and each.role == "writer")
    (row,) = asked.read(json.dumps([item(1, how="in detail", steps=["one"])]))
    assert set(row) == {"category", "sub_category", "question", "object1", "object2"}


def test_json_in_a_code_fence_is_read_and_lines_become_one() -> None:
    found = told(f"```json\n{json.dumps([item(1, object1=' cup' + chr(10) + '1 ')])}\n```")
    assert found.value[0].objects[0] == "cup 1"


# ---- what ends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"object2": ""}, {"object1": "  "}, {"object2": "CUP 1"}, {"object2": "the cup-1"}])
def test_an_item_with_one_object_is_dropped_alone(fields: dict[str, str]) -> None:
    found = told([item(1, **fields), item(2)])
    assert whys(found) == [NAMES_ONE, ""]
    assert found.value[1].key == "s/1#1"


def test_a_model_that_names_one_object_gives_no_element() -> None:
    found = ask(played=PlayedCalls(writer=Writer(name="writer-one_object")))
    assert set(whys(found)) == {NAMES_ONE}
    assert {each.end for each in found.value} == {"dropped"}


def test_an_item_without_its_second_object_is_dropped_and_so_is_one_without_a_question_or_category() -> None:
    bare = item(1)
    del bare["object2"]
    found = told([bare, item(2, question=""), item(3, category="")], per_text=3)
    assert whys(found) == [NAMES_ONE, "asks no question", "names no category"]


def test_a_text_without_a_risk_is_dropped() -> None:
    found = ask(Seed(key="s/1", source="s", text="nothing of the kind"))
    assert (found.end, found.why) == ("dropped", "no element")
    assert found.call


@pytest.mark.parametrize(
    "reply",
    [
        "I would gladly name two risks.",
        f"Here they are: {json.dumps([item()])}",
        json.dumps(item()),
        json.dumps({"elements": [item()]}),
        json.dumps([[item()]]),
        json.dumps(["cup", "tray"]),
        json.dumps([item(object1=7)]),
        json.dumps([item(object1=["cup", "tray"])]),
        json.dumps([item(question={"text": "May I?"})]),
        json.dumps([item(category=None)]),
        json.dumps([item()])[:-2],
        f"{json.dumps([item()])}\n{json.dumps([item()])}",
        "[" * 100_000,
        "[NaN]",
        "null",
        "",
    ],
)
def test_a_reply_of_another_form_is_asked_for_once_more_and_then_no_use(reply: str) -> None:
    played = PlayedCalls(writer=turns(reply, json.dumps([item()])))
    assert whys(ask(played=played)) == [""]
    assert len(by("writer", played)) == 2
    lasting = told(reply)
    assert (lasting.end, lasting.again) == ("failed", False)


def test_a_model_is_told_what_was_wrong_with_its_reply() -> None:
    played = PlayedCalls(writer=turns(json.dumps([item(), 5]), json.dumps([item()])))
    ask(played=played)
    assert "item 2 of the list is not a JSON object" in text_of(by("writer", played)[1])


@pytest.mark.parametrize(
    ("model", "end", "again"),
    [
        (Writer(name="writer-prose"), "failed", False),
        (Writer(name="writer-refuse"), "refused", False),
        (Writer(name="writer-loop"), "failed", False),
        (FILTERED, "refused", False),
        (TIMEOUT, "failed", True),
    ],
)
def test_how_a_model_fails_is_how_the_seed_ends(model: Any, end: str, again: bool) -> None:
    found = ask(played=PlayedCalls(writer=model))
    assert (found.end, found.again) == (end, again)


# ---- hard stops --------------------------------------------------------------------------------------------------


def test_a_seed_that_the_words_rule_stops_is_asked_of_nobody() -> None:
    played = PlayedCalls()
    found = ask(Seed(key="s/1", source="s", text=PERSON), played)
    assert (found.end, found.why, found.call) == ("stopped", "person", "")
    assert played.asked == []


def test_a_picture_meets_the_hard_stop_of_a_model_before_the_viewer_sees_it() -> None:
    played = PlayedCalls()
    seed = Seed(key="s/1", source="s", image=inline_image("seed.png", drawn("green triangle")))
    found = ask(seed, played)
    assert played.roles() == ["checker", "viewer"]
    assert played.shown("checker") == played.shown("viewer")
    assert len(set(found.calls)) == 2


@pytest.mark.parametrize(
    ("said", "why"), [('{"minors": "no", "person": "yes", "weapon": "no"}', "person"), ("It is fine.", "unchecked")]
)
def test_a_picture_that_a_model_stops_is_shown_to_no_other(said: str, why: str) -> None:
    played = PlayedCalls(checker=said)
    found = ask(Seed(key="s/1", source="s", image=inline_image("seed.png", drawn("green triangle"))), played)
    assert (found.end, found.why) == ("stopped", why)
    assert played.roles() == ["checker"]


def test_a_picture_that_could_not_be_checked_for_now_waits_for_the_next_build() -> None:
    played = PlayedCalls(checker=TIMEOUT)
    found = ask(Seed(key="s/1", source="s", image=inline_image("seed.png", drawn("green triangle"))), played)
    assert (found.end, found.again, played.roles()) == ("failed", True, ["checker"])


def test_an_item_that_the_words_rule_stops_leaves_its_place_and_its_kind() -> None:
    found = told([item(1), item(2, object2=PERSON), item(3)], per_text=3)
    assert whys(found) == ["", "person", ""]
    assert [each.key for each in found.value if isinstance(each, Element)] == ["s/1#0", "s/1#2"]


def test_nothing_of_a_stopped_item_is_kept_in_the_reply() -> None:
    played = PlayedCalls(writer=json.dumps([item(1, object2=PERSON), item(2)]))
    ask(played=played)
    asked = played.questions[0]
    assert asked.keep is not None
    kept: Any = asked.keep(asked.read(json.dumps([item(1, object2=PERSON), item(2)])))
    assert kept[0] == stop_to_json(Stop(kind="person")) == {"stopped": "person"}
    assert stop_of(kept[1]) is None


def test_an_item_that_was_put_away_later_stays_stopped_in_its_place() -> None:
    class Kept(PlayedCalls):
        async def ask(self, asked: Any) -> Any:
            said = await super().ask(asked)
            if isinstance(said, ModelReply) and asked.role == "writer":
                said.value[0] = stop_to_json(Stop(kind="unchecked"))
            return said

    found = ask(played=Kept(writer=json.dumps([item(1), item(2)])))
    assert whys(found) == ["unchecked", ""]


def test_nobody_but_the_writer_is_asked_since_all_texts_are_checked_before_anything_is_drawn() -> None:
    played = PlayedCalls(writer=json.dumps([item(1), item(2)]))
    ask(played=played)
    assert [each.role for each in played.questions] == ["writer"]


# ---- categories --------------------------------------------------------------------------------------------------

CATEGORIES = {"Illegal Activity": ("Cybercrimes", "Property Crimes"), "Self-Harm": ()}


@pytest.mark.parametrize("said", ["Illegal Activity", "illegal activity", "ILLEGAL-ACTIVITY", " Illegal_Activity."])
def test_a_category_is_spelled_as_the_plan_has_it(said: str) -> None:
    found = told([item(category=said, sub_category="property crimes")], categories=CATEGORIES)
    assert (found.value[0].category, found.value[0].sub_category) == ("Illegal Activity", "Property Crimes")


def test_a_category_that_the_plan_has_not_drops_the_element() -> None:
    found = told([item(category="Illegal"), item(2, category="Self-Harm")], categories=CATEGORIES)
    assert whys(found) == ["its category is none of the plan's", ""]


def test_a_sub_category_of_another_category_is_none() -> None:
    found = told([item(category="Self-Harm", sub_category="Cybercrimes")], categories=CATEGORIES)
    assert found.value[0].sub_category == ""


def test_a_seed_says_which_image_it_is_without_opening_it() -> None:
    played = PlayedCalls()
    ask(Seed(key="s/1", source="s", image=inline_image("seed.png", drawn("green triangle"))), played)
    (part, _) = played.questions[0].request.messages[0].content
    assert isinstance(part, Image)
    assert part.content is None
