"""From an element to a question that names neither object and gives nothing away. (arXiv 2501.18533 §3.2, step 2.)

Two calls of the writer: one rewrites the question with references to the two images, or says that it is no risk or has
no two objects; one makes it neutral where it is not, and says how. A question that still names an object, or refers to
one image alone, is asked for once more, with what was wrong. Where that does not help either, the element is dropped.

What is wrong with a question depends on the element, what is read of a reply does not: many elements have the same
question in the end, and one call then makes it neutral for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness import Json, Message, Request, Text
from harness.keys import canonical
from harness.rubric import repair_request
from harness_builder.calls.values import Asked, Ended, Passed, Told, Unreadable
from harness_builder.config.plan import Prompt
from harness_builder.stops import stop_text
from harness_builder.values import Element, Question

from .references import Fault, explicit, fault
from .replies import fields, words
from .workshop import Workshop

Values = Mapping[str, Json]
_NO_RISK: Final = "no risk, or no objects"
_FALSE: Final = "false"


async def write(shop: Workshop, element: Element) -> Passed[Question] | Ended:
    """The question of an element, neutral and without the names of its objects."""
    first, second = element.objects
    draft = {"question": element.question, "object1": first, "object2": second, "category": element.category}
    written = await _asked(shop, element, "write", draft)
    if isinstance(written, Ended):
        return written
    before: str = written.value["question"]
    neutral = await _asked(shop, element, "detoxify", {"question": before})
    if isinstance(neutral, Ended):
        return neutral.after(written.calls)
    text: str = neutral.value["question"]
    question = Question(
        key=element.key,
        text=text,
        explicit=explicit(text, element.objects),
        changed=text != before,
        explanation=neutral.value["explanation"] if text != before else "",
    )
    calls, notes = (*written.calls, *neutral.calls), (*written.notes, *neutral.notes)
    return Passed(value=question, calls=calls, notes=notes)


async def _asked(shop: Workshop, element: Element, prompt: Prompt, values: Values) -> Passed[Values] | Ended:
    """What the writer says; ended where it says that there is no risk, and where its question is still not right."""
    turn = Message(role="user", content=(Text(text=shop.prompts.fill(prompt, values)),))
    request = Request(messages=(turn,), schema=_schema(prompt))
    said = await _said(shop, element, prompt, request)
    if isinstance(said, Ended):
        return said
    wrong = _wrong(shop, element, said.value)
    if wrong is None:
        return Passed(value=said.value, calls=(said.call,))
    again = await _said(shop, element, prompt, repair_request(request, canonical(said.value), wrong.told))
    if isinstance(again, Ended):
        mendable = again.end in ("stopped", "dropped") or again.again
        ended = again if mendable else Ended(end="dropped", why=wrong.why, call=again.call)
        return ended.after([said.call])
    if still := _wrong(shop, element, again.value):
        return Ended(end="dropped", why=still.why, call=again.call, before=(said.call,))
    return Passed(value=again.value, calls=(said.call, again.call), notes=(f"asked once more: it {wrong.why}",))


async def _said(shop: Workshop, element: Element, prompt: Prompt, request: Request) -> Told | Ended:
    """One reply. With the element's objects it meets the text rule once more: they are not in every request."""
    said = await shop.asker.ask(
        Asked(step="write", owner=element.key, role="writer", request=request, read=_READS[prompt])
    )
    if isinstance(said, Ended):
        return said
    if said.value["question"] is False:
        return Ended(end="dropped", why=_NO_RISK, call=said.call)
    if stop := stop_text(*said.value.values(), *element.objects):
        return Ended(end="stopped", why=stop.kind, call=said.call)
    return said


def _wrong(shop: Workshop, element: Element, value: Values) -> Fault | None:
    return fault(value["question"], element.objects, shop.plan.language)


def _read_written(text: str) -> Json:
    """The question; False where there is no risk, said as the field's value or as the whole reply."""
    if text.strip().casefold() == _FALSE:
        return {"question": False}
    found = fields(text)
    said: Json = found.get("question")
    if said is False or (isinstance(said, str) and said.strip().casefold() == _FALSE):
        return {"question": False}
    if not isinstance(said, str):
        raise Unreadable("field 'question' must be a text, or false")
    return {"question": words(found, "question")}


def _read_neutral(text: str) -> Json:
    found = fields(text)
    if "question" not in found:
        raise Unreadable("field 'question' is missing")
    return {"explanation": words(found, "explanation"), "question": words(found, "question")}


_READS: Final[Mapping[Prompt, Callable[[str], Json]]] = {"write": _read_written, "detoxify": _read_neutral}
_TEXT: Final[Mapping[str, Json]] = {"type": "string"}
_FIELDS: Final[Mapping[Prompt, Mapping[str, Json]]] = {
    "write": {"question": {"anyOf": [_TEXT, {"type": "boolean"}]}},
    "detoxify": {"explanation": _TEXT, "question": _TEXT},
}


def _schema(prompt: Prompt) -> Mapping[str, Json]:
    properties = _FIELDS[prompt]
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
