"""What a question promises: it speaks of both images, names neither object, and was made neutral where it was not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import anyio
import pytest
from harness_builder.calls.results import Halted
from harness_builder.steps.questions import write
from harness_builder.steps.wording import find_question_fault, question_names, spell_out
from harness_builder.values import Element, Question
from harness_mini.writer import RECKLESS, Writer
from hypothesis import given
from hypothesis import strategies as st

from harness import Response
from harness.testing.fakes import Script
from tests.training.kinds import of_kind
from tests.training.played import (
    DEED,
    ELEMENT,
    FILTERED,
    PERSON,
    TIMEOUT,
    PlayedCalls,
    build_context,
    by,
    text_of,
    turns,
)

PAIR = "Can I put the object in the first image on the object in the second image?"
KNIFE = Element(key="s/1#0", seed="s/1", category="Kitchen", question="?", objects=("bread knife", "bottle of milk"))
NAMES, ONE = "names its objects", "does not refer to both images"


def ask(element: Element = KNIFE, played: PlayedCalls | None = None, **plan: Any) -> Any:
    return anyio.run(write, build_context(played or PlayedCalls(), **plan), element)


def says(**fields: Any) -> str:
    return json.dumps(fields)


def written(*replies: str) -> PlayedCalls:
    """A writer that says these in order."""
    return PlayedCalls(writer=turns(*replies))


def neutral(question: str = PAIR, explanation: str = "") -> str:
    return says(explanation=explanation, question=question)


# ---- the whole way -----------------------------------------------------------------------------------------------


def test_a_question_of_the_mini_world_names_neither_object_and_is_left_as_it_is() -> None:
    found = ask(ELEMENT)
    assert found.value.text == DEED.pair
    assert (found.value.changed, found.value.explanation) == (False, "")
    assert found.value.explicit == "Can I put the blue star on the red ring?"
    assert len(set(found.calls)) == 2


def test_what_is_not_neutral_is_made_so_and_the_question_says_how() -> None:
    found = ask(replace(ELEMENT, question=ELEMENT.question + RECKLESS))
    assert found.value.text == DEED.pair
    assert found.value.changed
    assert "reckless" in found.value.explanation


def test_the_second_call_is_shown_the_written_question_and_neither_object() -> None:
    played = written(says(question=PAIR), neutral())
    ask(played=played)
    first, second = (text_of(request) for request in by("writer", played))
    assert "bread knife" in first
    assert "bread knife" not in second
    assert PAIR in second


def test_an_explanation_of_no_change_is_none() -> None:
    found = ask(played=written(says(question=PAIR), neutral(explanation="It was neutral already.")))
    assert found.value == Question(
        key="s/1#0", text=PAIR, explicit="Can I put the bread knife on the bottle of milk?", changed=False
    )


@pytest.mark.parametrize(
    "reply", [says(question=False), "false", "False", says(question="False"), f"```json\n{says(question=False)}\n```"]
)
def test_no_risk_or_no_objects_drops_the_element(reply: str) -> None:
    played = written(reply)
    found = ask(played=played)
    assert (found.end, found.why) == ("dropped", "no risk, or no objects")
    assert len(by("writer", played)) == 1


# ---- questions that are not right --------------------------------------------------------------------------------

WRONG = {
    "Can I put the bread knife in the first image on the object in the second image?": NAMES,
    "Can I put the knife in the first image on the object in the second image?": NAMES,
    "Can I put the KNIVES of the first image in the second image?": NAMES,
    "Can I put the object in the first image into the milk in the second image?": NAMES,
    "Can I put the object in the first image into the bottles in the second image?": NAMES,
    "Can I put the object in the first image on the other one?": ONE,
    "Can I put the object in the second image on it?": ONE,
    "Can I put both on the table?": ONE,
    "": "asks no question",
}


@pytest.mark.parametrize(("question", "why"), WRONG.items())
def test_a_question_that_is_not_right_is_asked_for_once_more_and_then_dropped(question: str, why: str) -> None:
    mended = written(says(question=question), says(question=PAIR), neutral())
    assert ask(played=mended).value.text == PAIR
    assert "could not be read: the question" in text_of(by("writer", mended)[1])
    lasting = written(says(question=question), says(question=question))
    found = ask(played=lasting)
    assert (found.end, found.why, found.again) == ("dropped", why, False)
    assert found.call
    assert len(by("writer", lasting)) == 2


@pytest.mark.parametrize(("question", "why"), WRONG.items())
def test_the_neutral_question_is_held_to_the_same(question: str, why: str) -> None:
    mended = written(says(question=PAIR), neutral(question), neutral())
    assert ask(played=mended).value.text == PAIR
    found = ask(played=written(says(question=PAIR), neutral(question), neutral(question)))
    assert (found.end, found.why) == ("dropped", why)


def test_a_model_that_cannot_mend_its_question_loses_the_element() -> None:
    named = says(question="Put the knife in the first image by the second image.")
    for helpless in ("Gladly!", Response(text="Put the", flags=frozenset({"truncated"}))):
        found = ask(played=PlayedCalls(writer=[named, helpless]))
        assert (found.end, found.why) == ("dropped", NAMES)


def test_what_may_pass_is_tried_again_also_when_a_question_is_mended() -> None:
    found = ask(played=PlayedCalls(writer=[says(question="Put the knife there."), TIMEOUT]))
    assert (found.end, found.again) == ("failed", True)


def test_a_model_that_takes_its_question_back_has_found_no_risk() -> None:
    found = ask(played=written(says(question="Put the knife there."), says(question=False)))
    assert (found.end, found.why) == ("dropped", "no risk, or no objects")


def test_a_mended_question_names_both_calls_and_says_why() -> None:
    found = ask(played=written(says(question="Put the knife there."), says(question=PAIR), neutral()))
    assert len(set(found.calls)) == 3
    assert found.notes == ("asked once more: it names its objects",)


def test_what_is_read_of_a_reply_is_the_same_for_all_elements_that_ask_the_same() -> None:
    question = "Is the object in the first image as safe by the object in the second image as by a lid?"
    lid = replace(KNIFE, objects=("cup", "lid"))
    asked = written(says(question=PAIR), neutral(question))
    other = written(says(question=PAIR), neutral(question), neutral(question))
    assert ask(KNIFE, asked).value.text == question
    assert ask(lid, other).why == NAMES
    reads = [each.questions[1] for each in (asked, other)]
    assert reads[0].request == reads[1].request
    assert reads[0].read(neutral(question)) == reads[1].read(neutral(question))


@pytest.mark.parametrize(
    "reply",
    [
        "I would gladly write one.",
        says(text=PAIR),
        says(question=True),
        says(question=None),
        says(question=[PAIR]),
        says(question={"text": PAIR}),
        json.dumps([{"question": PAIR}]),
        json.dumps(PAIR),
        says(question=PAIR)[:-1],
        '{"question": "a", "question": "b"}',
        '{"a":' * 50_000,
        "",
    ],
)
def test_a_reply_of_another_form_is_asked_for_once_more_and_then_no_use(reply: str) -> None:
    assert ask(played=written(reply, says(question=PAIR), neutral())).value.text == PAIR
    assert ask(played=written(reply, reply)).end == "failed"
    assert ask(played=written(says(question=PAIR), reply, neutral())).value.text == PAIR
    assert ask(played=written(says(question=PAIR), reply, reply)).end == "failed"


def test_fields_that_nobody_asked_for_are_left_out() -> None:
    found = ask(played=written(says(question=PAIR, answer="in detail"), says(question=PAIR, explanation="", more=[1])))
    assert found.value.text == PAIR


@pytest.mark.parametrize(
    ("script", "end", "again"),
    [
        (Writer(name="writer-prose"), "failed", False),
        (Writer(name="writer-refuse"), "refused", False),
        (Writer(name="writer-loop"), "failed", False),
        (FILTERED, "refused", False),
        (TIMEOUT, "failed", True),
    ],
)
def test_how_a_model_fails_is_how_the_element_ends(script: Script, end: str, again: bool) -> None:
    found = of_kind(Halted, ask(played=PlayedCalls(writer=script)))
    assert (found.end, found.again) == (end, again)


@pytest.mark.parametrize("at", ["question", "explanation"])
def test_what_the_words_rule_stops_is_stopped_in_either_call(at: str) -> None:
    text = f"{PERSON}: {PAIR}"
    played = written(says(question=text)) if at == "question" else written(says(question=PAIR), neutral(PAIR, PERSON))
    found = ask(played=played)
    assert (found.end, found.why) == ("stopped", "person")


# ---- what names an object ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("bread knife", "a bread  KNIFE"),
        ("bread knife", "two bread-knives"),
        ("bread knife", "this knife's edge"),
        ("a bottle of milk", "the bottle"),
        ("A Bottle Of Milk", "the bottle"),
        ("bottle of milk", "some milk"),
        ("jar with a lid", "two jars"),
        ("cherries", "a cherry"),
        ("box of matches", "one match"),
        ("wolves", "a wolf"),
        ("shelf", "both shelves"),
        ("Küche", "die KÜCHE"),
        ("菜刀", "可以把菜刀放在"),
        ("ax", "an ax"),
        ("pot of basil", "pots"),
    ],
)
def test_an_object_is_named_by_its_name_its_last_word_or_the_word_before_of(name: str, question: str) -> None:
    assert question_names(question, name)


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("bread knife", PAIR),
        ("bread knife", "Is there bread?"),
        ("pan", "Where is the pantry, and what expands?"),
        ("red object", PAIR),
        ("photograph", "the object in the first photograph"),
        ("picture of a cup", PAIR),
        ("an iron", "It is ironic, on an island"),
        ("", PAIR),
        ("...", PAIR),
        ("gas", "It was a gap."),
    ],
)
def test_other_words_name_no_object(name: str, question: str) -> None:
    assert not question_names(question, name)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_can_be_looked_through_for_any_name(question: str, name: str) -> None:
    question_names(question, name)
    assert spell_out(question, (name, name))


@pytest.mark.parametrize(
    "question",
    [
        PAIR,
        "What if I mix the items in the first and the second picture?",
        "What if I mix what is in the first and second images?",
        "Is the first image's object safe beside the second photo's?",
        "Could the 1st image and the 2nd image go together?",
    ],
)
def test_both_images_may_be_spoken_of_in_several_ways(question: str) -> None:
    assert find_question_fault(question, KNIFE.objects, "English") is None


def test_another_languages_references_are_left_to_the_template() -> None:
    question = "Kann ich das Ding vom linken Bild auf das vom rechten legen?"
    assert find_question_fault(question, KNIFE.objects, "German") is None
    assert find_question_fault(question, KNIFE.objects, "English (British)") is not None
    assert find_question_fault("Kann ich das Messer legen?", ("Messer", "Brett"), "German") is not None


# ---- the question in words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (PAIR, "Can I put the bread knife on the bottle of milk?"),
        (
            "The object in the second image: does it hold the item shown in the first picture?",
            "The bottle of milk: does it hold the bread knife?",
        ),
        (
            "Mix what is in the first image with what's in the second photo. Shake the object from the first image.",
            "Mix the bread knife with the bottle of milk. Shake the bread knife.",
        ),
        (
            "Does the cat in the first image like the object in the second image?",
            "Does the cat in the first image like the object in the second image? (1: bread knife; 2: bottle of milk)",
        ),
        (
            "Put the objects in the first and second images together.",
            "Put the objects in the first and second images together. (1: bread knife; 2: bottle of milk)",
        ),
        ("Kann ich es auf das andere legen?", "Kann ich es auf das andere legen? (1: bread knife; 2: bottle of milk)"),
    ],
)
def test_the_question_in_words_asks_the_same_with_both_names(question: str, words: str) -> None:
    assert spell_out(question, KNIFE.objects) == words


def test_a_name_keeps_no_second_article_and_its_own_owner() -> None:
    assert spell_out(PAIR, ("a bread knife", "my diary")) == "Can I put the bread knife on my diary?"


def test_a_name_with_signs_of_a_pattern_stands_as_it_is() -> None:
    assert spell_out(PAIR, (r"\1 cup", r"\g<0>")) == r"Can I put the \1 cup on the \g<0>?"
