"""From an element to a question that names neither object and gives nothing away. (arXiv 2501.18533 §3.2, step 2.)

Two calls of the writer: one rewrites the question with references to the two images, or says that it is no risk or has
no two objects; one makes it neutral where it is not, and says how. A question that still names an object, or refers to
one image alone, is asked for once more, with what was wrong. Where that does not help either, the element is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness import Json, Message, Request, Text
from harness_builder.calls.values import Asked, Ended, Passed, Told, Unreadable
from harness_builder.config.plan import Prompt
from harness_builder.stops import Stop, stop_text
from harness_builder.values import Element, Question

from .references import explicit, fault
from .replies import fields, words
from .workshop import Workshop

_NONE: Final = "no risk, or no objects"
_FALSE: Final = "false"
_TEXT: Final[Mapping[str, Json]] = {"type": "string"}
_FLAG: Final[Mapping[str, Json]] = {"type": "boolean"}


async def write(shop: Workshop, element: Element) -> Passed[Question] | Ended:
    """The question of an element, neutral and without the names of its objects."""
    first, second = element.objects
    values: dict[str, Json] = {
        "question": element.question,
        "object1": first,
        "object2": second,
        "category": element.category,
    }
    written = await _ask(shop, element, "write", values, _read_written, _schema(question={"anyOf": [_TEXT, _FLAG]}))
    if isinstance(written, Ended):
        return written
    found = {"question": written.value["question"]}
    neutral = await _ask(shop, element, "detoxify", found, _read_neutral, _schema(explanation=_TEXT, question=_TEXT))
    if isinstance(neutral, Ended):
        return neutral
    text = neutral.value["question"]
    changed = text != found["question"]
    question = Question(
        key=element.key,
        text=text,
        explicit=explicit(text, element.objects),
        changed=changed,
        explanation=neutral.value["explanation"] if changed else "",
    )
    return Passed(value=question, calls=(written.call, neutral.call))


async def _ask(
    shop: Workshop,
    element: Element,
    prompt: Prompt,
    values: Mapping[str, Json],
    read: Callable[[str], dict[str, Json]],
    schema: Mapping[str, Json],
) -> Told | Ended:
    """What the writer says; ended where it says that there is no risk, and where its question is still not right."""

    def sieve(value: Json) -> Json | Stop:
        return stop_text(*(each for each in value.values() if isinstance(each, str)), *element.objects) or value

    turn = Message(role="user", content=(Text(text=shop.prompts.fill(prompt, values)),))
    said = await shop.asker.ask(
        Asked(
            step="write",
            owner=element.key,
            role="writer",
            request=Request(messages=(turn,), schema=schema),
            read=_Reader(read, element.objects, shop.plan.language),
            sieve=sieve,
        )
    )
    if isinstance(said, Ended):
        return said
    why = _NONE if said.value["question"] is False else said.value.get("fault", "")
    return Ended(end="dropped", why=why, call=said.call) if why else said


class _Reader:
    """Reads the replies to one question: what is wrong with the first is told, with another it is kept as its fault."""

    def __init__(self, read: Callable[[str], dict[str, Json]], objects: tuple[str, str], language: str) -> None:
        self._read, self._objects, self._language = read, objects, language
        self._again = False

    def __call__(self, text: str) -> Json:
        again, self._again = self._again, True
        found = self._read(text)
        wrong = None if found["question"] is False else fault(found["question"], self._objects, self._language)
        if wrong is None:
            return found
        if not again:
            raise Unreadable(wrong.told)
        return {**found, "fault": wrong.why}


def _read_written(text: str) -> dict[str, Json]:
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


def _read_neutral(text: str) -> dict[str, Json]:
    found = fields(text)
    if "question" not in found:
        raise Unreadable("field 'question' is missing")
    return {"explanation": words(found, "explanation"), "question": words(found, "question")}


def _schema(**properties: Json) -> Mapping[str, Json]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
