"""The rules `choice` and `yesno` read what an answer says by a stated rule, and never guess."""

from __future__ import annotations

import random
import re
from pathlib import Path

import harness_choice
import pytest
from harness_choice.choice import CHOICE, YESNO

from harness import Judge, Response, Verdict
from harness.testing.fakes import fake_sample

OPTIONS = {"A": "a red star", "B": "a blue bus", "C": "vitamin C", "D": "7"}
PAGE = (Path(harness_choice.__file__).parents[2] / "docs" / "judges" / "choice.md").read_text(encoding="utf-8")


def judged(judge: Judge, text: str, target: object) -> Verdict:
    found = judge.open({}, Path()).read(fake_sample(target=target), Response(text=text), [])
    assert isinstance(found, Verdict)
    return found


def said(text: str, options: dict[str, str] = OPTIONS) -> object:
    return judged(CHOICE, text, {"answer": "B", "options": options}).axes["said"]


def yes_or_no(text: str) -> object:
    return judged(YESNO, text, {"answer": "yes"}).axes["said"]


@pytest.mark.parametrize(
    "text",
    [
        *("B", "b", "B.", "(B)", "[b]", "**B**", "`B`", "\uff22", " B \n", '"B"', "Option B", "choice: b", "Answer: B"),
        *("a blue bus", "A blue bus.", "'a  blue\nbus'"),
    ],
)
def test_an_answer_that_is_nothing_but_a_letter_or_an_options_text_is_that_option(text: str) -> None:
    assert said(text) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is B because A is too small.",
        "A) is out, C) too. The answer is (B).",
        "First I thought the answer is A. Then: the answer is B.",
        "Not A.\n**Answer:** b",
        "The correct option would be B, not C.",
        "The best choice: B (rather than C)",
        "C is tempting. $\\boxed{\\text{B}}$",
        "C is tempting, but B is correct.",
        "Between A, C and B: B is the right one",
        "A or C? Answer: option B.",
    ],
)
def test_of_several_letters_the_last_that_is_stated_decides(text: str) -> None:
    assert said(text) == "B"


@pytest.mark.parametrize(
    "text", ["B. A blue bus, since A is red", "B) because A and C are not", "B\n\nA is red, C is not."]
)
def test_an_answer_may_begin_with_its_letter_and_speak_of_others(text: str) -> None:
    assert said(text) == "B"


@pytest.mark.parametrize("text", ["I would take B", "It must be (B), I think", "I'd say B, not A.", "It isn't A. B!"])
def test_the_only_letter_is_the_answer(text: str) -> None:
    assert said(text) == "B"


@pytest.mark.parametrize(
    "text", ["It shows a blue bus.", "I see A Blue Bus in the street", "Answer: A blue bus is there"]
)
def test_the_only_option_whose_text_is_there_is_the_answer(text: str) -> None:
    assert said(text) == "B"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it names no option"),
        ("I cannot tell.", "it names no option"),
        ("A big lorry drives by.", "it names no option"),
        ("Vitamin B12", "it names no option"),
        ("The answer is not B", "it names no option"),
        ("the B's", "it names no option"),
        ("A or B", "it names A, B"),
        ("The answer is A or B.", "it names A, B"),
        ("Answer: B/C", "it names B, C"),
        ("A) a red star\nB) a blue bus\nC) vitamin C", "it names A, B, C"),
        ("There is a red star and a blue bus", "it names B, A"),
    ],
)
def test_none_or_several_is_none_with_the_reason(text: str, reason: str) -> None:
    found = judged(CHOICE, text, {"answer": "B", "options": OPTIONS})
    assert (found.label, found.axes["said"]) == ("none", "")
    assert sorted(re.findall(r"\w+", found.reason)) == sorted(re.findall(r"\w+", reason))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A or B", "B"),
        ("B? C? Hard to say: C, I think. Or (D)", "D"),
        ("A) a red star\nB) a blue bus", "B"),
        ("The answer is B because A is too small.", "B"),
        ("There is a red star and a blue bus", ""),
        ("I cannot tell.", ""),
    ],
)
def test_of_several_letters_the_last_decides_where_the_target_says_so(text: str, letter: str) -> None:
    target = {"answer": "B", "options": OPTIONS, "several": "last"}
    assert judged(CHOICE, text, target).axes["said"] == letter


def test_a_target_with_another_word_for_several_letters_is_the_tasks_fault() -> None:
    with pytest.raises(ValueError, match="not one of none, last"):
        judged(CHOICE, "A", {"answer": "B", "options": OPTIONS, "several": "first"})


def test_a_and_i_are_letters_only_where_they_are_no_word() -> None:
    nine = {letter: f"option number {n}" for n, letter in enumerate("ABCDEFGHI")}
    assert [said(text, nine) for text in ("I think so", "A few", "It is A.", "Take (I)", "I because I can")] == [
        *("", "", "A", "I", "I"),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        *(
            "<answer>{}</answer>",
            "<answer> {} </answer>",
            "<ANSWER>({})</ANSWER>",
            "<answer>\n{}. It is red.\n</answer>",
        ),
        *("Answer: {} \u2013 it is red", "{} \u2014 it is red", "The answer is {} and not C", "It is {}, not C"),
        "<think>A or B? C?</think>\n<answer>{}</answer>",
        "<answer>{}</answer>\nB is blue.",
    ],
)
@pytest.mark.parametrize("letter", "ABCD")
def test_no_letter_is_read_where_another_would_not_be(frame: str, letter: str) -> None:
    assert said(frame.format(letter)) == letter


def test_a_text_inside_a_longer_one_does_not_count_in_its_place() -> None:
    dogs = {"A": "dog", "B": "hot dog", "C": "dog"}
    assert said("it eats a hot dog", dogs) == "B"
    assert said("it is a dog", dogs) == ""  # two options have one text
    assert said("a dog beside a hot dog", dogs) == ""
    assert said("seventeen hot dogs", dogs) == ""


def test_a_letter_is_right_or_wrong_by_the_target_and_the_reason_says_how_it_was_read() -> None:
    right, wrong = (judged(CHOICE, "The answer is B.", {"answer": answer, "options": OPTIONS}) for answer in "BC")
    assert right == Verdict(label="right", axes={"said": "B"}, reason="the last one it states")
    assert wrong.label == "wrong"


def test_nothing_is_left_to_chance() -> None:
    random.seed(1)
    before = random.getstate()
    assert len({str(judged(CHOICE, "who knows", {"answer": "A", "options": OPTIONS})) for _ in range(20)}) == 1
    assert random.getstate() == before


@pytest.mark.parametrize(
    "target", [None, {}, {"answer": "B"}, {"answer": "E", "options": OPTIONS}, {"answer": "1", "options": {"1": "x"}}]
)
def test_a_sample_without_options_is_a_mistake_of_its_task_and_no_wrong_answer(target: object) -> None:
    with pytest.raises(ValueError, match="one"):
        judged(CHOICE, "B", target)


@pytest.mark.parametrize("text", ["B " * 20000, "answer" + " " * 20000, "((((" * 5000, "A" + " " * 20000 + "b"])
def test_a_long_answer_is_read_quickly(text: str) -> None:
    judged(CHOICE, text, {"answer": "B", "options": OPTIONS})
    judged(YESNO, text, {"answer": "yes"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", "yes"),
        ("**No**, there is none.", "no"),
        ("yes.", "yes"),
        ("Yes! Though not a big one", "yes"),
        ("I see a bus. Answer: yes", "yes"),
        ("Is it a bus? The answer is no.", "no"),
        ("Answer: yes. On reflection, answer: No", "no"),
        ("There is no bus in the picture.", "no"),
        ("There isn\u2019t a bus. Yes, really.", "no"),
        ("I would say yes", "yes"),
        ("<think>I see no bus. Or do I?</think>\n<answer>Yes</answer>", "yes"),
        ("<answer>no</answer>\nYes and no are hard to tell.", "no"),
        ("There is a bus.", ""),
        ("It is a bus. Yes.", ""),
        ("yes/no", ""),
        ("Yes or no?", ""),
        ("I would say yes, not maybe", ""),
        ("Nothing is known", ""),
        ("", ""),
    ],
)
def test_yes_and_no_are_read_by_first_word_stated_answer_or_first_sentence(text: str, expected: str) -> None:
    found = judged(YESNO, text, {"answer": "yes"})
    assert found.axes["said"] == expected
    assert found.label == {"yes": "right", "no": "wrong", "": "none"}[expected]


@pytest.mark.parametrize("target", [None, {}, {"answer": "Yes"}, {"answer": True}])
def test_a_target_that_is_neither_yes_nor_no_is_a_mistake_of_its_task(target: object) -> None:
    with pytest.raises(ValueError, match="yes or no"):
        judged(YESNO, "yes", target)


def test_f1_and_the_share_of_yes_follow_from_targets_and_what_was_said() -> None:
    asked = [
        ("yes", "Yes"),
        ("yes", "No"),
        ("yes", "a bus"),
        ("no", "Yes"),
        ("no", "No"),
        ("no", "a bus"),
        ("yes", "yes"),
    ]
    found = [(answer, judged(YESNO, text, {"answer": answer}).axes["said"]) for answer, text in asked]
    hits = sum(pair == ("yes", "yes") for pair in found)
    claimed, there = sum(said == "yes" for _, said in found), sum(answer == "yes" for answer, _ in found)
    assert 2 * hits / (claimed + there) == pytest.approx(4 / 7)
    assert claimed / len(found) == pytest.approx(3 / 7)


def test_the_pages_examples_are_read_as_the_page_says() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if re.match(r"\| \d \|", line)]
    choice, yesno = rows[:5], rows[5:]
    examples = [example for row in choice for example in re.findall(r"`([^`]+)`", row[3])]
    assert len(examples) == 14
    assert {example: said(example) for example in examples} == dict.fromkeys(examples, "B")
    assert [yes_or_no(re.findall(r"`([^`]+)`", row[3])[0]) for row in yesno] == ["yes", "yes", "no"]


def test_they_ask_no_model_and_offer_the_labels_they_give() -> None:
    for judge in harness_choice.harness_judges():
        rubric = judge.open({}, Path())
        assert (judge.needs, rubric.labels) == (None, ("right", "wrong", "none"))
        assert rubric.ask(fake_sample(), Response(text="x")) == []
