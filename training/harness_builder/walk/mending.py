"""What people's word comes to in the walk: a question that they mended is a new one.

It meets what the writer's question met: the rules on names and references, the hard stops by words and by a model, and,
at the gate, what it nearly equals. What the model said of the old question says nothing of it, so the model is asked
again whether it is unsafe by itself, unless people said so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio.to_thread

from harness_builder.calls.values import Ended, Passed
from harness_builder.review import Decided
from harness_builder.steps.checking import check_texts
from harness_builder.steps.references import explicit, fault
from harness_builder.steps.sorting import classify
from harness_builder.steps.workshop import Workshop
from harness_builder.values import Candidate, Opinion, Question, Sorted

from .settling import by_model, by_people

if TYPE_CHECKING:
    from .crew import People


async def settle(
    shop: Workshop, people: People | None, candidate: Candidate, opinion: Opinion
) -> Passed[Sorted] | Ended:
    """Where a candidate goes: by the model alone where there are no people, else by what they decided so far."""
    if people is None:
        return Passed(value=by_model(candidate, opinion))
    decided = await anyio.to_thread.run_sync(people.decided, candidate)  # it reads both images
    settled = by_people(candidate, opinion, decided)
    if isinstance(settled, Ended):
        return settled
    if settled.question == candidate.question:
        return Passed(value=settled)
    assert isinstance(decided, Decided), "only a decision mends a question"
    return await _mended(shop, replace(candidate, question=settled.question), opinion, decided)


def remade(question: Question, candidate: Candidate, text: str) -> Question:
    """The question as people mended it, with the names of its objects in place of the images too."""
    return replace(question, text=text, explicit=explicit(text, candidate.objects))


async def _mended(shop: Workshop, candidate: Candidate, opinion: Opinion, decided: Decided) -> Passed[Sorted] | Ended:
    """Of a candidate with its new question."""
    checked = await _checked(shop, candidate)
    if isinstance(checked, Ended):
        return checked
    calls = checked.calls
    if decided.text_unsafe is None:
        again = await classify(shop, candidate)
        if isinstance(again, Ended):
            return again.after(calls)
        # what the images show is as it was, and so is what people were told of it
        opinion, calls = replace(again.value, image_harmful=opinion.image_harmful), (*calls, *again.calls)
    settled = by_people(candidate, opinion, decided)
    if isinstance(settled, Ended):
        return settled
    return Passed(value=settled, calls=calls, notes=("people mended its question",))


async def _checked(shop: Workshop, candidate: Candidate) -> Passed[None] | Ended:
    """What the page and the sheet refuse is found here in reviews that were written before they did."""
    question, objects = candidate.question, candidate.objects
    if wrong := fault(question, objects, shop.plan.language):
        return Ended(end="dropped", why=f"the question that people wrote {wrong.why}", note=wrong.told)
    return await check_texts(shop, "sort", candidate.key, question, explicit(question, objects))
