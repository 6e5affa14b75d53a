"""What a model thinks of a candidate; where it goes by that is the rule of `harness_builder.values.subset`.

Where a candidate goes: by what a model thinks of it, and where people decide, by what they decided.

What people's word comes to in the walk: a question that they mended is a new one.

It meets what the writer's question met: the rules on names and references, the hard stops by words and by a model, and,
at the gate, what it nearly equals. What the model said of the old question says nothing of it, so the model is asked
again whether it is unsafe by itself, unless people said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from harness import Json, Message, Request, Text
from harness_builder.calls.results import Halted, ModelQuery, StepResult, Unreadable
from harness_builder.review import Decided, Undecided
from harness_builder.steps.context import BuildContext, check_texts
from harness_builder.steps.replies import fields, flag, words
from harness_builder.steps.wording import find_question_fault, spell_out
from harness_builder.stops import stop_text
from harness_builder.values import Assessment, Candidate, Question, SubsetDecision, subset

if TYPE_CHECKING:
    from harness_builder.pipeline import People


Categories = Mapping[str, tuple[str, ...]]


async def classify(shop: BuildContext, candidate: Candidate) -> StepResult[Assessment] | Halted:
    """Ask the viewer: is the question unsafe by itself, is an image, and of which category is the risk?

    Where the plan names categories, the model's is one of them, and its sub-category one of that category's.
    """
    categories = shop.plan.categories

    def read(text: str) -> Json:
        return _read(text, categories)

    request = _request(shop, candidate)
    said = await shop.asker.ask(ModelQuery(step="sort", owner=candidate.key, role="viewer", request=request, read=read))
    if isinstance(said, Halted):
        return said
    return StepResult(value=Assessment(**said.value), calls=(said.call,))


def _request(shop: BuildContext, candidate: Candidate) -> Request:
    categories = shop.plan.categories
    values = {
        "question": candidate.question,
        "objects": list(candidate.objects),
        "category": candidate.category,
        "categories": {name: list(within) for name, within in categories.items()},
    }
    text = Text(text=shop.prompts.fill("classify", values))
    return Request(messages=(Message(role="user", content=(*candidate.images, text)),), schema=_schema(categories))


def _schema(categories: Categories) -> Mapping[str, Json]:
    within = dict.fromkeys(name for each in categories.values() for name in each)
    properties: dict[str, Json] = {
        "text_unsafe": {"type": "boolean"},
        "image_harmful": {"type": "boolean"},
        "category": {"type": "string", **({"enum": list(categories)} if categories else {})},
        "sub_category": {"type": "string", **({"enum": ["", *within]} if categories else {})},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _read(text: str, categories: Categories) -> Json:
    found = fields(text)
    category, sub_category = words(found, "category"), words(found, "sub_category")
    if categories:
        category = _one_of(category, categories, "category")
        sub_category = _one_of(sub_category, categories[category], "sub_category") if sub_category else ""
    return {
        "text_unsafe": flag(found, "text_unsafe"),
        "image_harmful": flag(found, "image_harmful"),
        "category": category,
        "sub_category": sub_category,
    }


def _one_of(said: str, known: Mapping[str, tuple[str, ...]] | tuple[str, ...], name: str) -> str:
    """A name as the plan spells it."""
    spelled = {each.casefold(): each for each in known}
    if said.casefold() not in spelled:
        raise Unreadable(f"field {name!r} must be one of: {', '.join(known) or 'none, an empty text'}")
    return spelled[said.casefold()]


WAITING: Final = Halted(end="waiting", why="people have not decided yet")


def by_model(candidate: Candidate, opinion: Assessment) -> SubsetDecision:
    """By the model alone."""
    return SubsetDecision(
        key=candidate.key,
        subset=subset(text_unsafe=opinion.text_unsafe, image_harmful=opinion.image_harmful),
        text_unsafe=opinion.text_unsafe,
        image_harmful=opinion.image_harmful,
        category=candidate.category,
        sub_category=opinion.sub_category,
        question=candidate.question,
        by="model",
    )


def by_people(
    candidate: Candidate, opinion: Assessment, decided: Decided | Undecided | None
) -> SubsetDecision | Halted:
    """By people; what they did not say is as the model has it. A question that they mended meets the hard stops again.

    Args:
        candidate: as it was shown to them.
        opinion: the model's.
        decided: None where not enough of them have looked at it.
    """
    if decided is None:
        return WAITING
    if isinstance(decided, Undecided):
        return Halted(end="waiting", why=f"people disagree on its {' and '.join(decided.about)}")
    if decided.decision == "drop":
        return Halted(end="dropped", why="people dropped it")
    question = decided.question or candidate.question
    if stop := stop_text(question):
        return Halted(end="stopped", why=stop.kind)
    unsafe = opinion.text_unsafe if decided.text_unsafe is None else decided.text_unsafe
    harmful = opinion.image_harmful if decided.image_harmful is None else decided.image_harmful
    moved = bool(decided.category) and decided.category != candidate.category
    return SubsetDecision(
        key=candidate.key,
        subset=subset(text_unsafe=unsafe, image_harmful=harmful),
        text_unsafe=unsafe,
        image_harmful=harmful,
        category=decided.category or candidate.category,
        sub_category="" if moved else opinion.sub_category,
        question=question,
        by="people",
        reviewers=decided.reviewers,
    )


async def settle(
    shop: BuildContext, people: People | None, candidate: Candidate, opinion: Assessment
) -> StepResult[SubsetDecision] | Halted:
    """Where a candidate goes: by the model alone where there are no people, else by what they decided so far."""
    if people is None:
        return StepResult(value=by_model(candidate, opinion))
    decided = await anyio.to_thread.run_sync(people.decided, candidate)  # it reads both images
    settled = by_people(candidate, opinion, decided)
    if isinstance(settled, Halted):
        return settled
    if settled.question == candidate.question:
        return StepResult(value=settled)
    assert isinstance(decided, Decided), "only a decision mends a question"
    return await _mended(shop, replace(candidate, question=settled.question), opinion, decided)


def remade(question: Question, candidate: Candidate, text: str) -> Question:
    """The question as people mended it, with the names of its objects in place of the images too."""
    return replace(question, text=text, explicit=spell_out(text, candidate.objects))


async def _mended(
    shop: BuildContext, candidate: Candidate, opinion: Assessment, decided: Decided
) -> StepResult[SubsetDecision] | Halted:
    """Of a candidate with its new question."""
    checked = await _checked(shop, candidate)
    if isinstance(checked, Halted):
        return checked
    calls = checked.calls
    if decided.text_unsafe is None:
        again = await classify(shop, candidate)
        if isinstance(again, Halted):
            return again.after(calls)
        # what the images show is as it was, and so is what people were told of it
        opinion, calls = replace(again.value, image_harmful=opinion.image_harmful), (*calls, *again.calls)
    settled = by_people(candidate, opinion, decided)
    if isinstance(settled, Halted):
        return settled
    return StepResult(value=settled, calls=calls, notes=("people mended its question",))


async def _checked(shop: BuildContext, candidate: Candidate) -> StepResult[None] | Halted:
    """What the page and the sheet refuse is found here in reviews that were written before they did."""
    question, objects = candidate.question, candidate.objects
    if wrong := find_question_fault(question, objects, shop.plan.language):
        return Halted(end="dropped", why=f"the question that people wrote {wrong.why}", note=wrong.told)
    return await check_texts(shop, "sort", candidate.key, question, spell_out(question, objects))
