"""The step `sort`: the subset and the category of a candidate, by a model or by people.

A question that people changed is a new one. It meets the same checks as the writer's: the rule on names and references,
and the hard stops by words and by a model. The model's opinion of the old question does not count for the new one, so
the model is asked again whether it is unsafe by itself, unless people answered that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

import anyio.to_thread

from harness import Json, Message, Request, Text
from harness_builder.calls.results import Halted, ModelQuery, StepResult, Unreadable, get_flag, get_text, parse_fields
from harness_builder.review import Agreed, Decided, Undecided
from harness_builder.stops import stop_text
from harness_builder.values import Assessment, Candidate, Question, SubsetDecision, choose_subset

from .context import BuildContext, check_texts
from .wording import find_question_fault, spell_out

WAITING: Final = Halted(end="waiting", why="people have not decided yet")


class People(Protocol):
    """People's decisions so far."""

    def decided(self, candidate: Candidate) -> Decided | Undecided | None:
        """The decision on a candidate's present form; None if too few have reviewed it."""
        ...

    def agreement(self) -> tuple[Agreed, ...]:
        """How far they agree."""
        ...


async def classify(context: BuildContext, candidate: Candidate) -> StepResult[Assessment] | Halted:
    """Ask the viewer: is the question unsafe by itself, is an image harmful, and which category has the risk?

    If the plan names categories, the model's must be one of them, and its sub-category one of that category.
    """
    categories = context.plan.categories

    def read(text: str) -> Json:
        found = parse_fields(text)
        category, below = get_text(found, "category"), get_text(found, "sub_category")
        if categories:
            category = _find_name(category, categories, "category")
            below = _find_name(below, categories[category], "sub_category") if below else ""
        return {
            "text_unsafe": get_flag(found, "text_unsafe"),
            "image_harmful": get_flag(found, "image_harmful"),
            "category": category,
            "sub_category": below,
        }

    values = {
        "question": candidate.question,
        "objects": list(candidate.objects),
        "category": candidate.category,
        "categories": {name: list(names) for name, names in categories.items()},
    }
    text = Text(text=context.prompts.fill("classify", values))
    below = dict.fromkeys(name for each in categories.values() for name in each)
    properties: dict[str, Json] = {
        "text_unsafe": {"type": "boolean"},
        "image_harmful": {"type": "boolean"},
        "category": {"type": "string", **({"enum": list(categories)} if categories else {})},
        "sub_category": {"type": "string", **({"enum": ["", *below]} if categories else {})},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    request = Request(messages=(Message(role="user", content=(*candidate.images, text)),), schema=schema)
    query = ModelQuery(step="sort", owner=candidate.key, role="viewer", request=request, read=read)
    said = await context.calls.ask(query)
    if isinstance(said, Halted):
        return said
    return StepResult(value=Assessment(**said.value), calls=(said.call,))


def _find_name(said: str, known: Iterable[str], field: str) -> str:
    spelled = {each.casefold(): each for each in known}
    if said.casefold() not in spelled:
        raise Unreadable(f"field {field!r} must be one of: {', '.join(known) or 'none, an empty text'}")
    return spelled[said.casefold()]


# ---- the decision ----------------------------------------------------------------------------------------------------


async def decide(
    context: BuildContext, people: People | None, candidate: Candidate, opinion: Assessment
) -> StepResult[SubsetDecision] | Halted:
    """The subset and category of a candidate: by the model alone if nobody is asked, else by people."""
    if people is None:
        return StepResult(value=decide_by_model(candidate, opinion))
    decided = await anyio.to_thread.run_sync(people.decided, candidate)  # it reads both images
    settled = decide_by_people(candidate, opinion, decided)
    if isinstance(settled, Halted):
        return settled
    if settled.question == candidate.question:
        return StepResult(value=settled)
    assert isinstance(decided, Decided), "only a decision changes a question"

    candidate = replace(candidate, question=settled.question)
    # earlier versions did not check it, so their reviews may hold a question that is refused now
    if wrong := find_question_fault(candidate.question, candidate.objects, context.plan.language):
        why = f"the question that people wrote {wrong.why}"
        return Halted(end="dropped", why=why, note=wrong.told)
    explicit = spell_out(candidate.question, candidate.objects)
    checked = await check_texts(context, "sort", candidate.key, candidate.question, explicit)
    if isinstance(checked, Halted):
        return checked
    calls = checked.calls
    if decided.text_unsafe is None:
        again = await classify(context, candidate)
        if isinstance(again, Halted):
            return again.after(calls)
        # images and the opinion of them are unchanged
        opinion, calls = replace(again.value, image_harmful=opinion.image_harmful), (*calls, *again.calls)
    settled = decide_by_people(candidate, opinion, decided)
    if isinstance(settled, Halted):
        return settled
    return StepResult(value=settled, calls=calls, notes=("people changed its question",))


def decide_by_model(candidate: Candidate, opinion: Assessment) -> SubsetDecision:
    """The decision of the model alone."""
    return SubsetDecision(
        key=candidate.key,
        subset=choose_subset(text_unsafe=opinion.text_unsafe, image_harmful=opinion.image_harmful),
        text_unsafe=opinion.text_unsafe,
        image_harmful=opinion.image_harmful,
        category=candidate.category,
        sub_category=opinion.sub_category,
        question=candidate.question,
        by="model",
    )


def decide_by_people(
    candidate: Candidate, opinion: Assessment, decided: Decided | Undecided | None
) -> SubsetDecision | Halted:
    """People's decision, and the model's where they did not answer. Their question meets the hard stops.

    Args:
        candidate: as shown to them.
        opinion: the model's.
        decided: None if too few have reviewed it.
    """
    if decided is None:
        return WAITING
    if isinstance(decided, Undecided):
        return Halted(end="waiting", why=f"people disagree on its {' and '.join(decided.about)}")
    if decided.decision == "drop":
        return Halted(end="dropped", why="people dropped it")
    question = decided.question or candidate.question
    if stop := stop_text(question):
        return Halted.at_stop(stop)
    unsafe = opinion.text_unsafe if decided.text_unsafe is None else decided.text_unsafe
    harmful = opinion.image_harmful if decided.image_harmful is None else decided.image_harmful
    moved = bool(decided.category) and decided.category != candidate.category
    return SubsetDecision(
        key=candidate.key,
        subset=choose_subset(text_unsafe=unsafe, image_harmful=harmful),
        text_unsafe=unsafe,
        image_harmful=harmful,
        category=decided.category or candidate.category,
        sub_category="" if moved else opinion.sub_category,
        question=question,
        by="people",
        reviewers=decided.reviewers,
    )


def replace_text(question: Question, candidate: Candidate, text: str) -> Question:
    """The question with another text, and that text in words alone."""
    return replace(question, text=text, explicit=spell_out(text, candidate.objects))
