"""What the viewer says of drawings: which is the best of one object, and what would draw both better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from harness import Image, Json, Message, Request, Text
from harness.http.status import as_list
from harness.keys import canonical
from harness.rubric import repair_request
from harness_builder.calls.values import Asked, Ended, Passed, Told, Unreadable
from harness_builder.values import Element, Question

from .naming import names
from .replies import fields, flag
from .workshop import Workshop

Prompted = tuple[str, str]  #: a prompt for each object
_LONGEST: Final = 600  # letters of a prompt; what painters read of longer ones is cut off
_BOTH: Final = (0, 1)
_SCHEMA: Final[Mapping[str, Json]] = {
    "type": "object",
    "properties": {"accept": {"type": "boolean"}, "prompts": {"type": "array", "items": {"type": "string"}}},
    "required": ["accept", "prompts"],
    "additionalProperties": False,
}


async def choose(shop: Workshop, element: Element, place: int, images: Sequence[Image]) -> Passed[int] | Ended:
    """Which of several drawings of one object is the best, from 0; the first where the viewer finds none good."""
    count = len(images)

    def read(text: str) -> Json:
        best = fields(text).get("best")
        if type(best) is not int or not 0 <= best <= count:
            raise Unreadable(f"field 'best' must be a whole number from 0 to {count}")
        return best

    text = shop.prompts.fill("choose", {"object": element.objects[place], "count": count})
    schema: dict[str, Json] = {
        "type": "object",
        "properties": {"best": {"type": "integer", "enum": list(range(count + 1))}},
        "required": ["best"],
        "additionalProperties": False,
    }
    request = Request(messages=(_turn(images, text),), schema=schema)
    said = await shop.asker.ask(Asked(step="draw", owner=element.key, role="viewer", request=request, read=read))
    if isinstance(said, Ended):
        return said
    return Passed(value=max(int(said.value) - 1, 0), calls=(said.call,))


async def refine(
    shop: Workshop, element: Element, question: Question, prompts: Prompted, images: tuple[Image, Image]
) -> Passed[Prompted | None] | Ended:
    """A better prompt for each object; None where the viewer accepts both images.

    A prompt may describe its own object alone. One that names the other is asked for once more; where that does not
    help, the prompt before stays.
    """
    values = {
        "objects": list(element.objects),
        "prompts": list(prompts),
        "category": element.category,
        "question": question.text,
    }
    request = Request(messages=(_turn(images, shop.prompts.fill("refine", values)),), schema=_SCHEMA)
    said = await _ask(shop, element, request)
    if isinstance(said, Ended):
        return said
    better, calls = _prompts(said), [said.call]
    if better and (mixed := _mixed(better, element.objects)):
        again = await _ask(shop, element, repair_request(request, canonical(said.value), _wrong(mixed)))
        if isinstance(again, Ended):
            if again.again or again.end == "stopped":
                return again.after(calls)
            calls.append(again.call)
        else:
            better, calls = _prompts(again), [*calls, again.call]
    mixed = _mixed(better, element.objects) if better else ()
    notes = tuple(f"the prompt for {element.objects[place]} stays, the new one names the other" for place in mixed)
    return Passed(value=_kept(better, prompts, mixed), calls=tuple(calls), notes=notes)


async def _ask(shop: Workshop, element: Element, request: Request) -> Told | Ended:
    return await shop.asker.ask(Asked(step="draw", owner=element.key, role="viewer", request=request, read=_read))


def _read(text: str) -> Json:
    found = fields(text)
    if flag(found, "accept"):
        return {"accept": True, "prompts": []}
    prompts = as_list(found.get("prompts"))
    lines = [" ".join(each.split()) for each in prompts if isinstance(each, str)]
    if len(lines) != len(prompts) or len(lines) != len(_BOTH):
        raise Unreadable("field 'prompts' must hold two texts, one for each object")
    if not all(lines) or max(map(len, lines)) > _LONGEST:
        raise Unreadable(f"each of the two prompts must have at most {_LONGEST} letters, and at least one")
    return {"accept": False, "prompts": lines}


def _prompts(said: Told) -> Prompted | None:
    if said.value["accept"]:
        return None
    first, second = said.value["prompts"]
    return first, second


def _mixed(prompts: Prompted, objects: tuple[str, str]) -> tuple[int, ...]:
    """Places of the prompts that name the object of the other image."""
    return tuple(place for place in _BOTH if names(prompts[place], objects[1 - place], but=objects[place]))


def _wrong(mixed: tuple[int, ...]) -> str:
    which = "both prompts name" if len(mixed) == len(_BOTH) else f"prompt {mixed[0] + 1} names"
    return f"{which} the object of the other image, and a prompt may describe its own object alone"


def _kept(better: Prompted | None, before: Prompted, mixed: tuple[int, ...]) -> Prompted | None:
    if better is None:
        return None
    first, second = (before[place] if place in mixed else better[place] for place in _BOTH)
    return first, second


def _turn(images: Sequence[Image], text: str) -> Message:
    return Message(role="user", content=(*images, Text(text=text)))
