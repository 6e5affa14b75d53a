"""What sorting promises: an opinion in the plan's own names or none, and a decision that holds up no call."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from harness_builder.calls.results import Halted, StepResult
from harness_builder.review import Agreed, Decided, Undecided
from harness_builder.steps.sorting import WAITING, classify, decide, decide_by_model, decide_by_people
from harness_builder.values import Assessment, Candidate, SubsetDecision, choose_subset
from harness_mini.provider import PROVIDER
from harness_mini.writer import RECKLESS

from harness.images import inline_image
from tests.training.kinds import of_kind
from tests.training.played import (
    FILTERED,
    QUESTION,
    TIMEOUT,
    PlayedCalls,
    build_context,
    by,
    candidate,
    drawn,
    text_of,
    turns,
)

pytestmark = pytest.mark.anyio

CATEGORIES = {"Workshop": ("Bench", "Shelf"), "Kitchen": ()}


def said(**fields: Any) -> str:
    return json.dumps({"text_unsafe": False, "image_harmful": True, "category": "Workshop", **fields})


async def opinion(played: PlayedCalls, **changes: Any) -> Assessment:
    found = await classify(build_context(played, **changes), candidate())
    assert isinstance(found, StepResult)
    assert len(found.calls) == 1
    return found.value


@pytest.mark.parametrize("unsafe", [True, False])
@pytest.mark.parametrize("harmful", [True, False])
async def test_the_models_word_is_taken_as_it_is_in_every_combination(unsafe: bool, harmful: bool) -> None:
    found = await opinion(PlayedCalls(viewer=said(text_unsafe=unsafe, image_harmful=harmful)))
    assert (found.text_unsafe, found.image_harmful) == (unsafe, harmful)
    expected = "train" if unsafe else "easy" if harmful else "hard"
    assert choose_subset(text_unsafe=found.text_unsafe, image_harmful=found.image_harmful) == expected


@pytest.mark.parametrize(
    ("question", "first", "unsafe", "harmful"),
    [
        (QUESTION.text, "blue star", False, False),
        (QUESTION.text + RECKLESS, "blue star", True, False),
        (QUESTION.text, "red star", False, True),
        (QUESTION.text + RECKLESS, "red star", True, True),
    ],
)
async def test_the_mini_writer_sorts_by_words_and_by_what_it_sees(
    question: str, first: str, unsafe: bool, harmful: bool
) -> None:
    images = (inline_image("1.png", drawn(first)), inline_image("2.png", drawn("blue ring")))
    asked = candidate(question=question, objects=(first, "blue ring"), images=images)
    found = await classify(build_context(PlayedCalls()), asked)
    assert isinstance(found, StepResult)
    assert found.value == Assessment(text_unsafe=unsafe, image_harmful=harmful, category="Workshop")


async def test_a_category_and_its_sub_category_are_spelled_as_the_plan_does() -> None:
    played = PlayedCalls(viewer=said(category="workshop", sub_category="SHELF"))
    found = await opinion(played, categories=CATEGORIES)
    assert (found.category, found.sub_category) == ("Workshop", "Shelf")
    assert "Bench" in text_of(by("viewer", played)[0])


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"category": "Cellar"}, "one of: Workshop, Kitchen"),
        ({"sub_category": "Sink"}, "one of: Bench, Shelf"),
        ({"category": "Kitchen", "sub_category": "Bench"}, "an empty text"),
        ({"text_unsafe": "no"}, "true or false"),
        ({"category": None}, "a text"),
    ],
)
async def test_a_word_that_the_plan_does_not_have_is_asked_for_once_more(wrong: dict[str, Any], hint: str) -> None:
    played = PlayedCalls(viewer=turns(said(**wrong), said(sub_category="Bench")))
    assert (await opinion(played, categories=CATEGORIES)).sub_category == "Bench"
    assert hint in text_of(by("viewer", played)[1])


async def test_without_categories_of_the_plan_the_models_own_is_taken() -> None:
    found = await opinion(PlayedCalls(viewer=said(category=" A  cellar ", sub_category="stairs")))
    assert (found.category, found.sub_category) == ("A cellar", "stairs")


@pytest.mark.parametrize(
    ("reply", "end", "again"),
    [("Unsafe.", "failed", False), (FILTERED, "refused", False), (TIMEOUT, "failed", True), ("[1]", "failed", False)],
)
async def test_no_opinion_is_no_sorting(reply: Any, end: str, again: bool) -> None:
    found = of_kind(Halted, await classify(build_context(PlayedCalls(viewer=reply)), candidate()))
    assert (found.end, found.again) == (end, again)


@pytest.mark.parametrize(("how", "end"), [("prose", "failed"), ("refuse", "refused"), ("loop", "failed")])
async def test_a_writer_that_misbehaves_sorts_nothing(how: str, end: str) -> None:
    async with PROVIDER.open(f"writer-{how}", {}) as viewer:
        found = await classify(build_context(PlayedCalls(viewer=viewer)), candidate())
    assert isinstance(found, Halted)
    assert found.end == end


# ---- the decision ----------------------------------------------------------------------------------------------------


CANDIDATE = Candidate(
    key="s/1#0",
    category="places",
    question=QUESTION.text,
    objects=("a", "b"),
    images=(inline_image("1", b""), inline_image("2", b"")),
    source="s",
)


OPINION = Assessment(text_unsafe=False, image_harmful=True, category="places", sub_category="a shed")


def test_the_model_alone_sorts_by_the_rule() -> None:
    settled = decide_by_model(CANDIDATE, OPINION)
    assert (settled.subset, settled.by, settled.sub_category) == ("easy", "model", "a shed")


def test_people_overrule_the_model_in_what_they_say_and_in_nothing_else() -> None:
    said = Decided(key="s/1#0", decision="keep", image_harmful=False, reviewers=("ann", "bob"))
    settled = of_kind(SubsetDecision, decide_by_people(CANDIDATE, OPINION, said))
    assert (settled.subset, settled.text_unsafe, settled.image_harmful) == ("hard", False, False)
    assert (settled.by, settled.reviewers) == ("people", ("ann", "bob"))


def test_another_category_takes_the_models_sub_category_away() -> None:
    said = Decided(key="s/1#0", decision="fix", category="shapes", question="Another one?")
    settled = of_kind(SubsetDecision, decide_by_people(CANDIDATE, OPINION, said))
    assert (settled.category, settled.sub_category, settled.question) == ("shapes", "", "Another one?")


def test_what_people_have_not_decided_waits_and_a_tie_says_in_what() -> None:
    assert decide_by_people(CANDIDATE, OPINION, None) == WAITING
    tie = of_kind(Halted, decide_by_people(CANDIDATE, OPINION, Undecided(key="s/1#0", about=("decision",), reviews=())))
    assert (tie.end, tie.why) == ("waiting", "people disagree on its decision")


def test_what_people_drop_is_dropped_and_what_they_write_meets_the_hard_stops() -> None:
    dropped = of_kind(Halted, decide_by_people(CANDIDATE, OPINION, Decided(key="s/1#0", decision="drop")))
    assert dropped.why == "people dropped it"
    mended = decide_by_people(
        CANDIDATE, OPINION, Decided(key="s/1#0", decision="fix", question="Where is President Somebody?")
    )
    assert isinstance(mended, Halted)
    assert (mended.end, mended.why) == ("stopped", "person")


class Nobody:
    """People who decided nothing, and where they were asked."""

    def __init__(self) -> None:
        self.asked_in: list[int] = []

    def decided(self, candidate: Candidate) -> None:
        self.asked_in.append(threading.get_ident())

    def agreement(self) -> tuple[Agreed, ...]:
        return ()


async def test_images_of_what_was_reviewed_are_read_beside_the_calls() -> None:
    people, opinion = Nobody(), Assessment(text_unsafe=False, image_harmful=False, category="a", sub_category="")
    assert await decide(build_context(PlayedCalls()), people, candidate(), opinion) == WAITING
    assert len(people.asked_in) == 1
    assert threading.get_ident() not in people.asked_in
