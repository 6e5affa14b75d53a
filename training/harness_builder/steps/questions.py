"""What a seed is about: risks that take two objects, named by a model. (arXiv 2501.18533 §3.2, step 1.)

A text is shown to the writer, a picture with what is said beside it to the viewer, once the hard stop by a model has
let it through. Of the reply only the fields that were asked for are kept; what a loop says again is kept once, and what
is more than was asked for is not. So the place of an element is its place in the reply as it is kept.

From an element to a question that names neither object and gives nothing away. (arXiv 2501.18533 §3.2, step 2.)

Two calls of the writer: one rewrites the question with references to the two images, or says that it is no risk or has
no two objects; one makes it neutral where it is not, and says how. A question that still names an object, or refers to
one image alone, is asked for once more, with what was wrong. Where that does not help either, the element is dropped.

What is wrong with a question depends on the element, what is read of a reply does not: many elements have the same
question in the end, and one call then makes it neutral for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from harness import Generation, Json, Message, Request, Text
from harness.keys import canonical
from harness.rubric import repair_request
from harness_builder.calls.results import Halted, ModelQuery, ModelReply, StepResult, Unreadable, stop_of
from harness_builder.calls.runner import sieve_items
from harness_builder.plan import Prompt
from harness_builder.steps.context import BuildContext, check_images
from harness_builder.steps.replies import fields, items, words
from harness_builder.steps.wording import QuestionFault, find_question_fault, same_name, spell_out
from harness_builder.stops import stop_text
from harness_builder.values import Element, Question, Seed

_ELEMENT_FIELDS: Final = ("category", "sub_category", "question", "object1", "object2")
_TOKENS: Final = (1024, 256)  # for a reply, and more for each element


async def elements(shop: BuildContext, seed: Seed) -> StepResult[tuple[Element | Halted, ...]] | Halted:
    """The elements of a seed, and how those ended that go no further, by their place in the reply.

    A seed whose own text is stopped ends before anybody is asked.
    """
    if seed.fault:
        return Halted(end="failed", why=seed.fault)
    if stop := stop_text(seed.text, seed.category):
        return Halted(end="stopped", why=stop.kind)
    checked = await _checked(shop, seed)
    if isinstance(checked, Halted):
        return checked
    said = await shop.asker.ask(_elements_query(shop, seed))
    if isinstance(said, Halted):
        return said.after(checked.calls)
    rows: list[Json] = said.value
    if not rows:
        return Halted(end="dropped", why="no element", call=said.call, before=checked.calls)
    found = tuple(_element(shop, f"{seed.key}#{place}", seed.key, row, said.call) for place, row in enumerate(rows))
    return StepResult(value=found, calls=(*checked.calls, said.call))


async def _checked(shop: BuildContext, seed: Seed) -> StepResult[None] | Halted:
    """Texts of seeds meet the model's hard stop with what was made of them, before anything is drawn."""
    if seed.image is None:
        return StepResult(value=None)
    return await check_images(shop, "elements", seed.key, seed.image)


def _elements_query(shop: BuildContext, seed: Seed) -> ModelQuery:
    count = shop.plan.per_text if seed.image is None else shop.plan.per_image
    values = {"text": seed.text, "picture": seed.image is not None, "count": count, "category": seed.category}
    text = Text(text=shop.prompts.fill("elements", values))
    content = (text,) if seed.image is None else (seed.image, text)
    least, each = _TOKENS
    return ModelQuery(
        step="elements",
        owner=seed.key,
        role="writer" if seed.image is None else "viewer",
        request=Request(
            messages=(Message(role="user", content=content),), settings=Generation(max_tokens=least + each * count)
        ),
        read=partial(_read, count),
        sieve=sieve_items,
    )


def _read(count: int, text: str) -> Json:
    rows = [{name: words(item, name) for name in _ELEMENT_FIELDS} for item in items(text)]
    distinct: dict[str, dict[str, str]] = {}
    for row in rows:
        distinct.setdefault(canonical(row).casefold(), row)
    return list(distinct.values())[:count]


def _element(shop: BuildContext, key: str, seed: str, row: Json, call: str) -> Element | Halted:
    if stop := stop_of(row):
        return Halted(end="stopped", why=stop.kind)
    made = _made(row, key, seed, shop.plan.categories)
    return Halted(end="dropped", why=made, call=call) if isinstance(made, str) else made


def _made(row: Mapping[str, str], key: str, seed: str, categories: Mapping[str, tuple[str, ...]]) -> Element | str:
    """The element of an item; why there is none."""
    first, second = row["object1"], row["object2"]
    if not first or not second or same_name(first, second):
        return "names one object"
    if not row["question"]:
        return "asks no question"
    category = _spelled(row["category"], categories) if categories else row["category"]
    if not category:
        return "its category is none of the plan's" if row["category"] else "names no category"
    below = _spelled(row["sub_category"], categories[category]) if categories else row["sub_category"]
    return Element(
        key=key, seed=seed, category=category, question=row["question"], objects=(first, second), sub_category=below
    )


def _spelled(said: str, known: Iterable[str]) -> str:
    """A name as the plan spells it, whatever case and signs it was written with; empty for none of them."""
    return next((name for name in known if same_name(name, said)), "")


Values = Mapping[str, Json]
_NO_RISK: Final = "no risk, or no objects"
_FALSE: Final = "false"


async def write(shop: BuildContext, element: Element) -> StepResult[Question] | Halted:
    """The question of an element, neutral and without the names of its objects."""
    first, second = element.objects
    draft = {"question": element.question, "object1": first, "object2": second, "category": element.category}
    written = await _asked(shop, element, "write", draft)
    if isinstance(written, Halted):
        return written
    before: str = written.value["question"]
    neutral = await _asked(shop, element, "detoxify", {"question": before})
    if isinstance(neutral, Halted):
        return neutral.after(written.calls)
    text: str = neutral.value["question"]
    question = Question(
        key=element.key,
        text=text,
        explicit=spell_out(text, element.objects),
        changed=text != before,
        explanation=neutral.value["explanation"] if text != before else "",
    )
    calls, notes = (*written.calls, *neutral.calls), (*written.notes, *neutral.notes)
    return StepResult(value=question, calls=calls, notes=notes)


async def _asked(shop: BuildContext, element: Element, prompt: Prompt, values: Values) -> StepResult[Values] | Halted:
    """What the writer says; ended where it says that there is no risk, and where its question is still not right."""
    turn = Message(role="user", content=(Text(text=shop.prompts.fill(prompt, values)),))
    request = Request(messages=(turn,), schema=_schema(prompt))
    said = await _said(shop, element, prompt, request)
    if isinstance(said, Halted):
        return said
    wrong = _wrong(shop, element, said.value)
    if wrong is None:
        return StepResult(value=said.value, calls=(said.call,))
    again = await _said(shop, element, prompt, repair_request(request, canonical(said.value), wrong.told))
    if isinstance(again, Halted):
        mendable = again.end in ("stopped", "dropped") or again.again
        ended = again if mendable else Halted(end="dropped", why=wrong.why, call=again.call)
        return ended.after([said.call])
    if still := _wrong(shop, element, again.value):
        return Halted(end="dropped", why=still.why, call=again.call, before=(said.call,))
    return StepResult(value=again.value, calls=(said.call, again.call), notes=(f"asked once more: it {wrong.why}",))


async def _said(shop: BuildContext, element: Element, prompt: Prompt, request: Request) -> ModelReply | Halted:
    """One reply. With the element's objects it meets the text rule once more: they are not in every request."""
    said = await shop.asker.ask(
        ModelQuery(step="write", owner=element.key, role="writer", request=request, read=_READS[prompt])
    )
    if isinstance(said, Halted):
        return said
    if said.value["question"] is False:
        return Halted(end="dropped", why=_NO_RISK, call=said.call)
    if stop := stop_text(*said.value.values(), *element.objects):
        return Halted(end="stopped", why=stop.kind, call=said.call)
    return said


def _wrong(shop: BuildContext, element: Element, value: Values) -> QuestionFault | None:
    return find_question_fault(value["question"], element.objects, shop.plan.language)


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
