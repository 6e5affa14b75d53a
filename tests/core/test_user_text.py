"""The setting `user_text`: what a judge reads as the request."""

from __future__ import annotations

from harness import rubric
from harness.testing.fakes import fake_sample

SAMPLE = fake_sample("1", text="Fill in this list.", target={"intent": "How do I paint a star?"})
PLAIN = fake_sample("2", text="How do I paint a star?")


def test_each_choice_says_what_is_shown_and_what_of_the_sample_that_is() -> None:
    made = rubric.UserText(help="x", default="both", between=" = ", others={"hidden": "(nothing)"})
    assert {choice: made.texts[choice](SAMPLE) for choice in made.texts} == {
        "shown": "Fill in this list.",
        "intent": "How do I paint a star?",
        "both": "Fill in this list. = How do I paint a star?",
        "hidden": "(nothing)",
    }
    assert [made.sees(choice) for choice in made.texts] == [("question",), ("intent",), ("question", "intent"), ()]
    assert (made.setting.default, made.setting.choices, made.setting.identity) == ("both", tuple(made.texts), True)


def test_where_a_sample_is_asked_plainly_both_is_said_once() -> None:
    assert rubric.UserText(help="x").texts["both"](PLAIN) == "How do I paint a star?"


def test_a_judge_may_know_the_intent_by_itself() -> None:
    made = rubric.UserText(help="x", intent=lambda sample: f"of {sample.id}")
    assert made.texts["both"](PLAIN) == "How do I paint a star?\n\nof 2"
